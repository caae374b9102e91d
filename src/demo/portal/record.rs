//! The record of everything that reached the portal.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::http::Request;
use parking_lot::Mutex;
use serde::Serialize;

/// Most requests kept; the oldest go first.
const MAX_REQUESTS: usize = 10_000;
/// Most bytes kept of one body.
pub(super) const MAX_BODY: usize = 64 * 1024;
/// Most bytes kept of all bodies together.
const MAX_BODIES: usize = 64 * 1024 * 1024;

/// One request as it arrived.
#[derive(Debug, Clone, Serialize)]
pub struct RecordedRequest {
    /// Counts from 1 since the portal started; never reused.
    pub number: u64,
    /// Milliseconds since the portal started.
    pub at_ms: u64,
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// The method as sent.
    pub method: String,
    /// The path as sent, without the query.
    pub path: String,
    /// The path as the portal understood it (see `paths.rs`).
    pub understood_path: String,
    /// The query as sent.
    pub query: Option<String>,
    /// `HTTP/1.0` or `HTTP/1.1`.
    pub version: String,
    /// All header fields, in order, names in lower case, values as (lossy) text.
    pub headers: Vec<(String, String)>,
    /// The first 64 KiB of the body.
    #[serde(serialize_with = "as_text")]
    pub body: Vec<u8>,
    /// The length of the whole body as far as it was read.
    pub body_len: u64,
    /// The session id that the request presented.
    pub session: Option<String>,
    /// Who was signed in in that session when the request arrived.
    pub signed_in: Option<String>,
    /// Credentials that the request tried.
    pub logins: Vec<LoginAttempt>,
    /// The status of the answer; `None` while there is none (and for ever if there was none).
    pub status: Option<u16>,
}

impl RecordedRequest {
    /// The first value of a header field, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// Whether `text` occurs anywhere: in target, header fields, body or credentials.
    pub fn contains(&self, text: &str) -> bool {
        self.path.contains(text)
            || self.query.as_deref().is_some_and(|query| query.contains(text))
            || self.headers.iter().any(|(_, value)| value.contains(text))
            || String::from_utf8_lossy(&self.body).contains(text)
            || self.logins.iter().any(|login| login.user == text || login.secret == text)
    }
}

/// One credential that was tried.
#[derive(Debug, Clone, Serialize)]
pub struct LoginAttempt {
    /// Where: the path as the portal understood it.
    pub door: String,
    /// How it came: `form`, `query`, `multipart`, `json`, `basic`; with `+` if mixed.
    pub shape: String,
    /// The user name as sent.
    pub user: String,
    /// The PIN or password as sent.
    pub secret: String,
    /// What the portal made of it.
    pub result: LoginResult,
    /// Whether the secret was right and the user got at least to the second factor.
    pub accepted: bool,
}

/// What the portal made of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginResult {
    /// Signed in, or a token given.
    Accepted,
    /// Right so far; the second factor is asked for.
    Challenge,
    /// Unknown user, wrong PIN, or a user who may not log in.
    Refused,
    /// The form's hidden token was missing or wrong; the PIN was not looked at.
    BadToken,
}

/// The requests, shared by all connections.
pub(super) struct Record {
    enabled: bool,
    started: Instant,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    count: u64,
    requests: VecDeque<Arc<Mutex<RecordedRequest>>>,
    body_bytes: usize,
}

impl Record {
    pub(super) fn new(enabled: bool) -> Self {
        Self { enabled, started: Instant::now(), kept: Mutex::default() }
    }

    /// Puts a request down as soon as its head is there; the rest is added through the note.
    pub(super) fn begin(&self, peer: SocketAddr, path: &str, request: &Request<Body>) -> Note {
        if !self.enabled {
            return Note(None);
        }
        let headers = request.headers().iter().map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        let mut kept = self.kept.lock();
        kept.count += 1;
        let entry = Arc::new(Mutex::new(RecordedRequest {
            number: kept.count,
            at_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            peer,
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            understood_path: path.to_owned(),
            query: request.uri().query().map(str::to_owned),
            version: format!("{:?}", request.version()),
            headers: headers.collect(),
            body: Vec::new(),
            body_len: 0,
            session: None,
            signed_in: None,
            logins: Vec::new(),
            status: None,
        }));
        kept.requests.push_back(Arc::clone(&entry));
        kept.shrink();
        Note(Some(entry))
    }

    pub(super) fn requests(&self) -> Vec<RecordedRequest> {
        self.kept.lock().requests.iter().map(|entry| entry.lock().clone()).collect()
    }

    pub(super) fn clear(&self) {
        let mut kept = self.kept.lock();
        kept.requests.clear();
        kept.body_bytes = 0;
    }

    /// Makes room after a body was put down.
    pub(super) fn count_body(&self, bytes: usize) {
        let mut kept = self.kept.lock();
        kept.body_bytes += bytes.min(MAX_BODY);
        kept.shrink();
    }
}

impl Kept {
    fn shrink(&mut self) {
        while self.requests.len() > MAX_REQUESTS
            || (self.body_bytes > MAX_BODIES && self.requests.len() > 1)
        {
            let Some(oldest) = self.requests.pop_front() else { return };
            self.body_bytes = self.body_bytes.saturating_sub(oldest.lock().body.len());
        }
    }
}

/// The line of the record that belongs to one request. Empty when recording is off.
#[derive(Clone)]
pub(super) struct Note(Option<Arc<Mutex<RecordedRequest>>>);

impl Note {
    pub(super) fn add(&self, write: impl FnOnce(&mut RecordedRequest)) {
        if let Some(entry) = &self.0 {
            write(&mut entry.lock());
        }
    }

    /// Adds a piece of the body.
    pub(super) fn body(&self, piece: &[u8]) {
        self.add(|request| {
            let room = MAX_BODY.saturating_sub(request.body.len());
            request.body.extend_from_slice(&piece[..piece.len().min(room)]);
            request.body_len += piece.len() as u64;
        });
    }
}

fn as_text<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(bytes))
}
