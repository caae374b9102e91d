//! The credential in a request's bytes.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::{Guess, MARK};
use crate::support::Person;

/// The form's fields as a browser sends them, with the portal's hidden token.
pub(super) fn form(guess: &Guess) -> String {
    format!(
        "_method=POST&data%5B_Token%5D%5Bkey%5D={}&data%5BLogin%5D%5Busername%5D={}&\
         data%5BLogin%5D%5Bpassword%5D={}&mark={MARK}",
        guess.token, guess.person.login, guess.person.pin
    )
}

/// User name and secret only.
pub(super) fn pair(guess: &Guess) -> String {
    let Person { login, pin } = &guess.person;
    format!("data[Login][username]={login}&data[Login][password]={pin}")
}

/// The hidden fields and these, names as they are.
pub(super) fn fill(guess: &Guess, separator: &str, fields: &[(&str, &str)]) -> String {
    let token = format!("data[_Token][key]={}", guess.token);
    let mark = format!("mark={MARK}");
    let fields = fields.iter().map(|(name, value)| format!("{name}={value}"));
    [token, mark].into_iter().chain(fields).collect::<Vec<_>>().join(separator)
}

pub(super) fn multipart(guess: &Guess) -> String {
    let Person { login, pin } = &guess.person;
    let fields = [
        ("data[_Token][key]", guess.token.as_str()),
        ("mark", MARK),
        ("data[Login][username]", login),
        ("data[Login][password]", pin),
    ];
    let parts = fields.iter().map(|(name, value)| {
        format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    });
    format!("{}--B--\r\n", parts.collect::<String>())
}

pub(super) fn json(guess: &Guess) -> String {
    let Person { login, pin } = &guess.person;
    serde_json::json!({
        "mark": MARK,
        "data": { "_Token": { "key": guess.token }, "Login": { "username": login, "password": pin } },
    })
    .to_string()
}

pub(super) fn flat(guess: &Guess) -> String {
    let Person { login, pin } = &guess.person;
    serde_json::json!({
        "mark": MARK, "data[_Token][key]": guess.token,
        "data[Login][username]": login, "data[Login][password]": pin,
    })
    .to_string()
}

/// A request, before it becomes bytes.
pub(super) struct Request {
    pub(super) method: &'static str,
    pub(super) target: String,
    pub(super) host: Option<&'static str>,
    pub(super) connection: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Option<Vec<u8>>,
    pub(super) chunked: bool,
}

pub(super) fn get(target: &str) -> Request {
    Request {
        method: "GET",
        target: target.to_owned(),
        host: None,
        connection: "close",
        headers: Vec::new(),
        body: None,
        chunked: false,
    }
}

pub(super) fn post(target: &str, body: String) -> Request {
    let kind = ("Content-Type", "application/x-www-form-urlencoded".to_owned());
    Request { method: "POST", headers: vec![kind], body: Some(body.into()), ..get(target) }
}

impl Request {
    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(super) fn map_header(mut self, name: &str, change: impl Fn(&str) -> String) -> Self {
        for (_, value) in self.headers.iter_mut().filter(|(known, _)| *known == name) {
            *value = change(value);
        }
        self
    }

    pub(super) fn basic(self, guess: &Guess) -> Self {
        let pair = format!("{}:{}", guess.person.login, guess.person.pin);
        self.header("Authorization", &format!("Basic {}", BASE64_STANDARD.encode(pair)))
    }

    pub(super) fn without_kind(mut self) -> Self {
        self.headers.retain(|(name, _)| *name != "Content-Type");
        self
    }

    pub(super) fn kind(self, kind: &str) -> Self {
        self.without_kind().header("Content-Type", kind)
    }

    pub(super) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    pub(super) fn bytes(&self, guess: &Guess) -> Vec<u8> {
        let host = self.host.unwrap_or(&guess.host);
        let mut bytes = format!(
            "{} {} HTTP/1.1\r\nHost: {host}\r\nConnection: {}\r\nX-Mark: {MARK}\r\n",
            self.method, self.target, self.connection
        )
        .into_bytes();
        if !guess.cookie.is_empty() {
            bytes.extend(format!("Cookie: {}\r\n", guess.cookie).bytes());
        }
        for (name, value) in &self.headers {
            bytes.extend(format!("{name}: {value}\r\n").bytes());
        }
        match &self.body {
            Some(body) if self.chunked => {
                bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
                for piece in body.chunks(7) {
                    bytes.extend(format!("{:x};x=y\r\n", piece.len()).bytes());
                    bytes.extend_from_slice(piece);
                    bytes.extend(b"\r\n");
                }
                bytes.extend(b"0\r\n\r\n");
            }
            Some(body) => {
                bytes.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
                bytes.extend_from_slice(body);
            }
            None => bytes.extend(b"\r\n"),
        }
        bytes
    }
}
