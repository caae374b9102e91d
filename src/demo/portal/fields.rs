//! Request parameters from wherever a client put them: query, urlencoded, multipart and JSON bodies,
//! as PHP applications read them. Names lose leading spaces, what follows a NUL, and a list index at
//! the end; of duplicates the last counts, and the body after the query.

use std::io::Read;

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::multipart;

/// Most bytes a compressed body may grow to.
const MAX_UNPACKED: u64 = 8 * 1024 * 1024;

/// Where a parameter was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Query,
    Form,
    Multipart,
    Json,
}

impl Place {
    fn name(self) -> &'static str {
        match self {
            Place::Query => "query",
            Place::Form => "form",
            Place::Multipart => "multipart",
            Place::Json => "json",
        }
    }
}

#[derive(Debug)]
pub(super) struct Field {
    name: String,
    value: String,
    place: Place,
}

/// All parameters of one request, in the order in which they count.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<Field>);

/// A user name with the PIN or password that came with it.
#[derive(Debug)]
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) secret: String,
    /// As in [`super::LoginAttempt::shape`].
    pub(super) shape: String,
}

impl Fields {
    pub(super) fn read(query: Option<&str>, headers: &HeaderMap, body: &[u8]) -> Self {
        let mut fields = Self::default();
        fields.urlencoded(query.unwrap_or_default().as_bytes(), Place::Query);
        let body = unpacked(headers, body);
        let kind = headers.get(header::CONTENT_TYPE).map(http::HeaderValue::as_bytes);
        let kind = String::from_utf8_lossy(kind.unwrap_or_default()).to_lowercase();
        let begins_json = matches!(body.trim_ascii_start().first(), Some(b'{' | b'['));
        if kind.contains("multipart") {
            for (name, value) in multipart::parts(&body) {
                fields.add(&name, value, Place::Multipart);
            }
        } else if kind.contains("json") || begins_json {
            if let Ok(value) = serde_json::from_slice(&body) {
                fields.json("", &value);
            }
        } else {
            fields.urlencoded(&body, Place::Form);
        }
        fields
    }

    /// The value of the last parameter with this name.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.last(&[name]).map(|field| field.value.as_str())
    }

    /// The number that a parameter gives, or `default`.
    pub(super) fn number(&self, name: &str, default: u64) -> u64 {
        self.value(name).and_then(|value| value.parse().ok()).unwrap_or(default)
    }

    /// A credential, if a user name and a secret go by any of these names.
    pub(super) fn credentials(&self, users: &[&str], secrets: &[&str]) -> Option<Credentials> {
        let (user, secret) = (self.last(users)?, self.last(secrets)?);
        let shape = if user.place == secret.place {
            user.place.name().to_owned()
        } else {
            format!("{}+{}", user.place.name(), secret.place.name())
        };
        Some(Credentials { user: user.value.clone(), secret: secret.value.clone(), shape })
    }

    fn last(&self, names: &[&str]) -> Option<&Field> {
        self.0.iter().rfind(|field| names.contains(&field.name.as_str()))
    }

    fn urlencoded(&mut self, text: &[u8], place: Place) {
        // `;` separates like `&`, as `arg_separator.input` allows.
        for pair in text.split(|byte| b"&;".contains(byte)) {
            for (name, value) in form_urlencoded::parse(pair) {
                self.add(&name, value.into_owned(), place);
            }
        }
    }

    fn json(&mut self, name: &str, value: &serde_json::Value) {
        use serde_json::Value;
        match value {
            Value::Object(members) => {
                for (key, value) in members {
                    let name = if name.is_empty() { key } else { &format!("{name}[{key}]") };
                    self.json(name, value);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.json(name, item)),
            Value::String(text) => self.add(name, text.clone(), Place::Json),
            Value::Null => {}
            other => self.add(name, other.to_string(), Place::Json),
        }
    }

    fn add(&mut self, name: &str, value: String, place: Place) {
        let name = name.split('\0').next().unwrap_or_default().trim_start();
        let name = match name.rsplit_once('[') {
            Some((list, index))
                if index.ends_with(']')
                    && index.trim_end_matches(']').bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                list
            }
            _ => name,
        };
        self.0.push(Field { name: name.to_owned(), value, place });
    }
}

/// User name and password of an `Authorization: Basic` field.
pub(super) fn basic(headers: &HeaderMap) -> Option<Credentials> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, secret) = decoded.split_once(':')?;
    Some(Credentials { user: user.into(), secret: secret.into(), shape: "basic".into() })
}

/// The body without gzip and without UTF-16.
fn unpacked(headers: &HeaderMap, body: &[u8]) -> Vec<u8> {
    let is_gzip = headers
        .get(header::CONTENT_ENCODING)
        .is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"gzip"));
    let mut plain = Vec::new();
    let reader = flate2::read::GzDecoder::new(body);
    if !is_gzip || reader.take(MAX_UNPACKED).read_to_end(&mut plain).is_err() {
        plain = body.to_vec();
    }
    let wide = |order: fn([u8; 2]) -> u16, bytes: &[u8]| {
        let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| order([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units).into_bytes()
    };
    match plain.as_slice() {
        [0xff, 0xfe, rest @ ..] => wide(u16::from_le_bytes, rest),
        [0xfe, 0xff, rest @ ..] => wide(u16::from_be_bytes, rest),
        [first, 0, _, 0, ..] if *first != 0 => wide(u16::from_le_bytes, &plain),
        [0, second, 0, _, ..] if *second != 0 => wide(u16::from_be_bytes, &plain),
        _ => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &[&str] = &["data[Login][username]"];
    const SECRETS: &[&str] = &["data[Login][password]"];

    fn read(query: &str, kind: &str, body: &[u8]) -> Option<(String, String, String)> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
        let fields = Fields::read(Some(query), &headers, body);
        fields.credentials(USERS, SECRETS).map(|c| (c.user, c.secret, c.shape))
    }

    /// The careless shapes of security.md are all understood.
    #[test]
    fn credentials_are_found_in_every_shape() {
        let utf16: Vec<u8> = "data[Login][username]=1001&data[Login][password]=48271"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let form = "application/x-www-form-urlencoded";
        let multipart =
            b"--B\r\nContent-Disposition: form-data; name=\"data[Login][username]\"\r\n\
            \r\n1001\r\n--B\r\ncontent-disposition: form-data; name=data[Login][password]\r\n\r\n\
            48271\r\n--B--\r\n";
        let cases: &[(&str, &str, &[u8], &str)] = &[
            ("", form, b"data[Login][username]=1001&data[Login][password]=48271", "form"),
            ("", "", b"d%61ta[Login][username]=1001;+data%5BLogin][password][]=48271", "form"),
            ("", form, b"data[Login][username]=x&data[Login][password]=y&data[Login][username]=1001&data[Login][password][0]=48271", "form"),
            ("data[Login][username]=1001&data[Login][password]=48271", form, b"", "query"),
            ("data[Login][username]=1001", form, b"data[Login][password]%00x=48271", "query+form"),
            ("", "application/json", br#"{"data":{"Login":{"username":1001,"password":"48271"}}}"#, "json"),
            ("", "text/plain", br#" {"data[Login][username]":"1001","data[Login][password]":["48271"]}"#, "json"),
            ("", "multipart/form-data; boundary=B", multipart, "multipart"),
            ("", "application/x-www-form-urlencoded; charset=utf-16", &utf16, "form"),
        ];
        for (query, kind, body, shape) in cases {
            let expected = ("1001".to_owned(), "48271".to_owned(), (*shape).to_owned());
            assert_eq!(read(query, kind, body), Some(expected), "{shape} {kind}");
        }
        assert_eq!(read("", form, b"data[Login][username]=1001"), None);
    }
}
