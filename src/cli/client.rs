//! A client for the running gateway: HTTP/1.1 over the Unix socket in its data directory.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;

use super::configuration;
use super::failure::Failure;
use crate::web::admin::SOCKET_NAME;

/// How long an answer's head may take: an import of half a million lines included.
const PATIENCE: Duration = Duration::from_secs(600);

/// What stays readable in a path or query.
const KEPT: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'@');

/// The gateway of a configuration.
pub(super) struct Gateway {
    socket: PathBuf,
    runtime: Runtime,
}

/// An error answer of the admin API.
#[derive(Debug)]
pub(super) struct Refused {
    /// Its status.
    pub status: StatusCode,
    /// Problem details.
    pub problem: Value,
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let detail = refused.problem["detail"].as_str().unwrap_or("the gateway gave no reason");
        match refused.status {
            StatusCode::NOT_FOUND | StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => {
                Self::Failed(detail.to_owned())
            }
            status => Self::Failed(format!("{detail} ({status})")),
        }
    }
}

type Answer<T> = Result<Result<T, Refused>, Failure>;

impl Gateway {
    /// The gateway that runs under this configuration.
    pub(super) fn of(config: &Path) -> Result<Self, Failure> {
        let data_dir = configuration::load(config)?.config.data_dir;
        Self::at(data_dir.join(SOCKET_NAME))
    }

    /// The gateway behind this socket.
    pub(super) fn at(socket: PathBuf) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Failure::io("start"))?;
        Ok(Self { socket, runtime })
    }

    /// GET, of a path below `/api/v1`.
    pub(super) fn get(&self, path: &str) -> Result<Value, Failure> {
        Ok(self.call(Method::GET, path, None)??)
    }

    /// POST without a body.
    pub(super) fn post(&self, path: &str) -> Result<Value, Failure> {
        Ok(self.call(Method::POST, path, None)??)
    }

    /// POST of a JSON body.
    pub(super) fn post_json(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let body = ("application/json", body.to_string().into_bytes());
        Ok(self.call(Method::POST, path, Some(body))??)
    }

    /// DELETE.
    pub(super) fn delete(&self, path: &str) -> Result<Value, Failure> {
        Ok(self.call(Method::DELETE, path, None)??)
    }

    /// All pages of a list, up to `limit` items.
    pub(super) fn list(
        &self,
        path: &str,
        parameters: &[(&str, Option<&str>)],
        limit: Option<u64>,
    ) -> Result<Vec<Value>, Failure> {
        let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let mut items: Vec<Value> = Vec::new();
        let mut cursor: Option<String> = None;
        while items.len() < limit {
            let page_size = (limit - items.len()).min(1000).to_string();
            let mut all = parameters.to_vec();
            all.extend([("cursor", cursor.as_deref()), ("limit", Some(page_size.as_str()))]);
            let mut page = self.get(&with_query(path, &all))?;
            if let Value::Array(more) = page["items"].take() {
                items.extend(more);
            }
            match page["next_cursor"].take() {
                Value::String(next) => cursor = Some(next),
                _ => break,
            }
        }
        Ok(items)
    }

    /// Any call; a refusal is told apart from a failure.
    pub(super) fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, Vec<u8>)>,
    ) -> Answer<Value> {
        self.runtime.block_on(async {
            let response = self.send(method, path, body).await?;
            let status = response.status();
            let body = response.into_body().collect().await.map_err(broken)?.to_bytes();
            let value = match body.is_empty() {
                true => Value::Null,
                false => serde_json::from_slice(&body).map_err(|error| {
                    Failure::Failed(format!("the gateway's answer cannot be read: {error}"))
                })?,
            };
            Ok(match status.is_success() {
                true => Ok(value),
                false => Err(Refused { status, problem: value }),
            })
        })
    }

    /// GET of something large, handed on as it comes.
    pub(super) fn download(
        &self,
        path: &str,
        mut take: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.runtime.block_on(async {
            let mut response = self.send(Method::GET, path, None).await?;
            let status = response.status();
            if !status.is_success() {
                let body = response.into_body().collect().await.map_err(broken)?.to_bytes();
                let problem = serde_json::from_slice(&body).unwrap_or(Value::Null);
                return Err(Refused { status, problem }.into());
            }
            while let Some(frame) = response.frame().await {
                if let Ok(data) = frame.map_err(broken)?.into_data() {
                    take(&data)?;
                }
            }
            Ok(())
        })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, Vec<u8>)>,
    ) -> Result<http::Response<Incoming>, Failure> {
        let stream =
            UnixStream::connect(&self.socket).await.map_err(|error| self.absent(&error))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // Ends by itself once the answer is read; its errors arrive there too.
        tokio::spawn(connection);
        let mut request =
            Request::builder().method(method).uri(format!("/api/v1{path}")).header("host", "admin");
        let bytes = match body {
            Some((kind, bytes)) => {
                request = request.header("content-type", kind);
                bytes
            }
            None => Vec::new(),
        };
        let request = request
            .body(Full::new(Bytes::from(bytes)))
            .map_err(|error| Failure::Usage(format!("this cannot be asked for: {error}")))?;
        tokio::time::timeout(PATIENCE, sender.send_request(request))
            .await
            .map_err(|_| Failure::Failed("the gateway did not answer in ten minutes".into()))?
            .map_err(broken)
    }

    fn absent(&self, error: &io::Error) -> Failure {
        let socket = self.socket.clone();
        match error.kind() {
            io::ErrorKind::NotFound => Failure::NotRunning { socket, why: "does not exist" },
            io::ErrorKind::ConnectionRefused => {
                Failure::NotRunning { socket, why: "is there, but nobody answers" }
            }
            io::ErrorKind::PermissionDenied => Failure::Failed(format!(
                "not allowed to open {}: run this as root or as the gateway's own user",
                socket.display()
            )),
            _ => Failure::Failed(format!("cannot open {}: {error}", socket.display())),
        }
    }
}

/// One segment of a path.
pub(super) fn segment(text: &str) -> String {
    utf8_percent_encode(text, &KEPT).to_string()
}

/// A path with those parameters that are given.
pub(super) fn with_query(path: &str, parameters: &[(&str, Option<&str>)]) -> String {
    let mut target = path.to_owned();
    let given = parameters.iter().filter_map(|(name, value)| value.map(|value| (name, value)));
    for (index, (name, value)) in given.enumerate() {
        target.push(if index == 0 { '?' } else { '&' });
        target.push_str(name);
        target.push('=');
        target.push_str(&segment(value));
    }
    target
}

fn broken(error: hyper::Error) -> Failure {
    Failure::Failed(format!("the connection to the gateway broke: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_cannot_change_the_path() {
        assert_eq!(segment("1001@acme.11111.service"), "1001@acme.11111.service");
        assert_eq!(segment("../keys/rotate?x#"), "..%2Fkeys%2Frotate%3Fx%23");
        let path = with_query("/accounts", &[("q", Some("a&b=c d")), ("state", None)]);
        assert_eq!(path, "/accounts?q=a%26b%3Dc%20d");
    }

    /// A gateway that does not run is exit code 3, and the message names the socket.
    #[test]
    fn a_gateway_that_does_not_run() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join(SOCKET_NAME);
        for (left_behind, why) in [(false, "does not exist"), (true, "nobody answers")] {
            if left_behind {
                drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
            }
            let gateway = Gateway::at(socket.clone()).unwrap();
            let failure = gateway.get("/accounts").unwrap_err();
            assert!(matches!(failure, Failure::NotRunning { .. }), "{failure:?}");
            let text = failure.to_string();
            assert!(text.contains(why) && text.contains(&socket.display().to_string()), "{text}");
        }
    }
}
