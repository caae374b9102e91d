//! Refuses credentials outside the login endpoints.
//!
//! Some portals accept login fields on any page, by any method, from the query or the body
//! (FusionPBX does). Inside a session such a request would log somebody else in behind our back,
//! with nothing but a PIN. So the *names* of parameters are read from queries and bodies the way
//! the most lenient server would read them; a hit is refused. Values are never looked at.

mod json;
mod multipart;
mod name;
mod urlencoded;

use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderValue};

use super::charset::{charset_of, hides_ascii};
use json::Json;
use multipart::Multipart;
use name::Fields;
use urlencoded::UrlEncoded;

/// The profile's credential fields, ready to be looked for.
#[derive(Debug, Clone)]
pub struct CredentialScan {
    in_query: Arc<Fields>,
    in_body: Arc<Fields>,
}

/// What is known of a body so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanVerdict {
    /// No credential field. What was pushed may go on: even if a field's name is not complete yet,
    /// its value has not begun.
    Clean,
    /// A credential field, or a body that hides its names (an unreadable character set or content
    /// coding). The request is refused; what has gone on is cut off.
    Hit,
    /// Larger than any form ([`MAX_FORM`]), or nested deeper.
    TooLarge,
}

/// Urlencoded and JSON bodies are read up to this size. Multipart bodies and files (uploads) have no
/// limit.
pub const MAX_FORM: usize = 1024 * 1024;

impl CredentialScan {
    /// `fields` are names as the portal's forms spell them (`data[Login][password]`), each with
    /// whether it counts in the query only.
    pub fn new<'f>(fields: impl IntoIterator<Item = (&'f str, bool)>) -> Self {
        let fields: Vec<(&str, bool)> = fields.into_iter().collect();
        let all = fields.iter().map(|(name, _)| *name);
        let body = fields.iter().filter(|(_, query_only)| !query_only).map(|(name, _)| *name);
        Self { in_query: Arc::new(Fields::new(all)), in_body: Arc::new(Fields::new(body)) }
    }

    /// Whether the query (without `?`) carries a credential field.
    pub fn query(&self, query: &str) -> bool {
        // Pairs are separated by `&`; some servers take `;` too.
        query.split(['&', ';']).any(|pair| {
            let name = pair.split('=').next().unwrap_or(pair);
            !name.is_empty() && self.in_query.hit_encoded(name.as_bytes())
        })
    }

    /// Begins to read the body of a request with these headers; `None` if no field counts in
    /// bodies. Whatever the body says it is, it is read: applications parse what they expect and
    /// do not ask for its name (`json_decode(file_get_contents('php://input'))`).
    pub fn body(&self, headers: &HeaderMap) -> Option<BodyScan> {
        let mut kinds = Kinds::default();
        let mut types = headers.get_all(header::CONTENT_TYPE).iter().peekable();
        if types.peek().is_none() {
            kinds.form = true;
        }
        for value in types {
            kinds.add(value);
        }
        if self.in_body.is_empty() {
            return None;
        }
        let coded = headers
            .get_all(header::CONTENT_ENCODING)
            .iter()
            .any(|coding| !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity"));
        Some(BodyScan {
            fields: Arc::clone(&self.in_body),
            form: (kinds.form || kinds.other).then(UrlEncoded::default),
            json: (kinds.json || kinds.form || kinds.other).then(|| Json::new(!kinds.json)),
            multipart: kinds.multipart.then(Multipart::default),
            bounded: kinds.form || kinds.json,
            seen: 0,
            verdict: if coded || kinds.unreadable { ScanVerdict::Hit } else { ScanVerdict::Clean },
        })
    }
}

/// How a body may be read; by more than one server in more than one way.
#[derive(Default)]
struct Kinds {
    form: bool,
    json: bool,
    multipart: bool,
    /// Something else: a file, as it seems.
    other: bool,
    unreadable: bool,
}

impl Kinds {
    fn add(&mut self, content_type: &HeaderValue) {
        let text = String::from_utf8_lossy(content_type.as_bytes()).to_ascii_lowercase();
        let kind = text.split([';', ',', ' ']).next().unwrap_or_default();
        let multipart = text.contains("multipart") || text.contains("boundary");
        let json = text.contains("json");
        // A form, or something that a script may take for one; JSON is often sent as either.
        let form = text.contains("urlencoded") || matches!(kind, "" | "text/plain" | "*/*");
        self.multipart |= multipart;
        self.json |= json;
        self.form |= form;
        self.other |= !(multipart || json || form);
        self.unreadable |= charset_of(&text).is_some_and(hides_ascii);
    }
}

/// Reads one body, chunk by chunk.
#[derive(Debug)]
pub struct BodyScan {
    fields: Arc<Fields>,
    form: Option<UrlEncoded>,
    json: Option<Json>,
    multipart: Option<Multipart>,
    /// It claims to be a form or JSON: small, and acted upon as a whole.
    bounded: bool,
    seen: usize,
    verdict: ScanVerdict,
}

impl BodyScan {
    /// Reads the next chunk. A verdict other than `Clean` is final.
    pub fn push(&mut self, chunk: &[u8]) -> ScanVerdict {
        if self.verdict != ScanVerdict::Clean {
            return self.verdict;
        }
        self.seen = self.seen.saturating_add(chunk.len());
        let hit = self.form.as_mut().is_some_and(|form| form.push(chunk, &self.fields))
            || self.json.as_mut().is_some_and(|json| json.push(chunk, &self.fields))
            || self.multipart.as_mut().is_some_and(|parts| parts.push(chunk, &self.fields));
        let too_deep = self.json.as_ref().is_some_and(Json::too_deep);
        if hit {
            self.verdict = ScanVerdict::Hit;
        } else if self.bounded && self.seen > MAX_FORM || too_deep {
            self.verdict = ScanVerdict::TooLarge;
        }
        self.verdict
    }

    /// Ends the body: its last name may have no end of its own.
    pub fn finish(&mut self) -> ScanVerdict {
        if self.verdict == ScanVerdict::Clean
            && self.form.as_mut().is_some_and(|form| form.finish(&self.fields))
        {
            self.verdict = ScanVerdict::Hit;
        }
        self.verdict
    }

    /// Whether the whole body should be held back until it is read: forms are small, and a form
    /// that was cut off half-way may still be acted on. Uploads stream.
    pub fn wants_whole_body(&self) -> bool {
        self.bounded
    }
}

/// What must hold for every body, however it is cut; called by the fuzz target and by the
/// replaying test.
#[doc(hidden)]
pub fn check_properties(body: &[u8], cut: usize) {
    let scan = CredentialScan::new([("data[Login][password]", false), ("user_name", false)]);
    for content_type in
        ["application/x-www-form-urlencoded", "application/json", "multipart/form-data; boundary=b"]
    {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        let run = |cut: usize| {
            let (one, other) = body.split_at(cut.min(body.len()));
            let mut scan = scan.body(&headers)?;
            scan.push(one);
            scan.push(other);
            Some(scan.finish())
        };
        assert_eq!(run(cut), run(body.len()), "the cut at {cut} shows in {content_type}");
    }
    if let Ok(query) = std::str::from_utf8(body) {
        // The query and a form of the same bytes are read alike, up to what only one can hold.
        let mut form = UrlEncoded::default();
        let hit = form.push(body, &scan.in_body) || form.finish(&scan.in_body);
        if body.len() < 256 {
            assert_eq!(scan.query(query), hit, "{query:?}");
        }
    }
}

#[cfg(test)]
mod tests;
