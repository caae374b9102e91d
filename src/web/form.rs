//! Reading a form: bounded, and strictly. What has two meanings is refused with 400.

use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use super::Visitor;
use super::answers::ErrorKind;
use super::pages::{Pages, answer};
use crate::domain::secret::Secret;

/// Longest form (bytes); a longer one is answered 413.
const LONGEST: usize = 64 * 1024;

/// The fields of a form. All are treated as secrets: some are.
pub(super) struct Form(Vec<(String, Secret)>);

impl Form {
    /// The form of a body; `None` where it has no one meaning.
    pub fn parse(body: &[u8]) -> Option<Self> {
        parse(body).map(Self)
    }

    /// The text of a field; empty when it was not sent.
    pub fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value.expose())
    }

    /// Whether a field was sent, empty or not.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(other, _)| other == name)
    }

    /// A field that must not be printed.
    pub fn secret(&self, name: &str) -> Secret {
        let found = self.0.iter().find(|(other, _)| other == name);
        found.map_or_else(|| Secret::new(""), |(_, value)| value.clone())
    }
}

impl FromRequest<Arc<Pages>> for Form {
    type Rejection = Response;

    async fn from_request(request: Request, pages: &Arc<Pages>) -> Result<Self, Response> {
        let wants_json = request.extensions().get::<Visitor>().is_some_and(|v| v.wants_json);
        let refuse = |kind| answer(pages.errors.page(kind, wants_json));
        if request.method() != Method::POST || !is_form(request.headers()) {
            return Err(refuse(ErrorKind::BadRequest));
        }
        let announced = request
            .headers()
            .get(http::header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|length| length > LONGEST) {
            return Err(refuse(ErrorKind::TooLarge));
        }
        let body = match to_bytes(request.into_body(), LONGEST).await {
            Ok(body) => body,
            Err(error) if is_too_long(&error) => return Err(refuse(ErrorKind::TooLarge)),
            Err(_) => return Err(refuse(ErrorKind::BadRequest)),
        };
        parse(&body).map(Self).ok_or_else(|| refuse(ErrorKind::BadRequest))
    }
}

/// Whether a body is a form, in the only encoding that we read.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else { return false };
    let Ok(only) = only.to_str() else { return false };
    let mut parts = only.split(';').map(str::trim);
    let named = parts.next().unwrap_or_default();
    named.eq_ignore_ascii_case("application/x-www-form-urlencoded")
        && parts.all(|parameter| {
            let parameter = parameter.replace('"', "").to_ascii_lowercase();
            parameter.is_empty() || parameter == "charset=utf-8"
        })
}

fn is_too_long(error: &axum::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if cause.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        source = cause.source();
    }
    false
}

fn parse(body: &[u8]) -> Option<Vec<(String, Secret)>> {
    let text = std::str::from_utf8(body).ok()?;
    let mut fields: Vec<(String, Secret)> = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode(name)?;
        if fields.iter().any(|(other, _)| *other == *name) {
            return None;
        }
        fields.push((name.to_string(), Secret::new(decode(value)?.as_str())));
    }
    Some(fields)
}

/// A name or value; `None` where it has no one meaning.
pub(super) fn decode(encoded: &str) -> Option<Zeroizing<String>> {
    let complete = encoded.match_indices('%').all(|(at, _)| {
        let digits = encoded.as_bytes().get(at + 1..at + 3);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    if !complete {
        return None;
    }
    let spaced = Zeroizing::new(encoded.replace('+', " "));
    let decoded = percent_decode_str(&spaced).decode_utf8().ok()?;
    (!decoded.contains('\0')).then(|| Zeroizing::new(decoded.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Undecodable form → 400; duplicates and NUL have two meanings and are refused too.
    #[test]
    fn only_forms_with_one_meaning_are_read() {
        let form = Form(parse(b"login=1001%40acme&password=a%2Bb+c%C3%A9&empty=&lone").unwrap());
        assert_eq!(form.text("login"), "1001@acme");
        assert_eq!(form.secret("password").expose(), "a+b cé");
        assert_eq!((form.text("empty"), form.text("lone"), form.text("none")), ("", "", ""));
        for bad in ["a=%zz", "a=%4", "a=%", "a=%ff", "%c0%af=1", "a=1&a=2", "a=1&%61=2", "a=x%00y"]
        {
            assert!(parse(bad.as_bytes()).is_none(), "{bad}");
        }
        assert!(parse(b"a=\xff").is_none());
    }

    #[test]
    fn only_urlencoded_utf8_is_a_form() {
        let of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, http::HeaderValue::from_static(value));
            is_form(&headers)
        };
        assert!(of("application/x-www-form-urlencoded"));
        assert!(of("Application/X-WWW-Form-URLencoded; charset=\"UTF-8\""));
        assert!(!of("application/x-www-form-urlencoded; charset=utf-16"));
        assert!(!of("multipart/form-data; boundary=x"));
        assert!(!of("application/json"));
        assert!(!is_form(&HeaderMap::new()));
    }
}
