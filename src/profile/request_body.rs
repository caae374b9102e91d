//! Fields of requests that carry credentials, read strictly: what two readers could understand in
//! two ways is refused, never guessed at.

mod multipart;
mod strict_json;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;

pub(super) use multipart::parse as parse_multipart;
pub(super) use strict_json::parse as parse_json;

/// A request that carries credentials and does not have the profile's shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct BadShape {
    /// 400 or 415.
    pub status: u16,
    /// For the log and the answer; never holds what was sent.
    pub why: &'static str,
}

pub(super) const FORM: &str = "application/x-www-form-urlencoded";
pub(super) const JSON: &str = "application/json";
pub(super) const MULTIPART: &str = "multipart/form-data";

/// All headers of a request, names in lower case.
pub(super) type Headers<'a> = &'a [(&'a str, &'a str)];

pub(super) const fn bad(why: &'static str) -> BadShape {
    BadShape { status: 400, why }
}

/// The value of a field that stands there at most once.
pub(super) fn only(fields: &[(String, String)], name: &str) -> Result<Option<String>, BadShape> {
    let mut values = fields.iter().filter(|(sent, _)| sent == name).map(|(_, value)| value);
    let first = values.next();
    if values.next().is_some() {
        return Err(bad("a field is sent twice"));
    }
    first.map(|value| clean(value.clone())).transpose()
}

/// A NUL ends strings in many a PBX: what comes after it would be read by us alone.
pub(super) fn clean(value: String) -> Result<String, BadShape> {
    if value.contains('\0') { Err(bad("a field holds a NUL character")) } else { Ok(value) }
}

/// The value of a header that stands there at most once.
pub(super) fn header<'a>(headers: Headers<'a>, name: &str) -> Result<Option<&'a str>, BadShape> {
    let mut values = headers.iter().filter(|(sent, _)| *sent == name);
    let first = values.next().map(|(_, value)| *value);
    if values.next().is_some() {
        return Err(bad("a header is sent twice"));
    }
    Ok(first)
}

/// The two parts of HTTP Basic credentials (RFC 7617); `None`: there are none.
pub(super) fn basic(headers: Headers<'_>) -> Result<Option<(String, String)>, BadShape> {
    let Some(value) = header(headers, "authorization")? else { return Ok(None) };
    let Some((scheme, encoded)) = value.split_once(' ') else {
        return Err(bad("the Authorization header cannot be read"));
    };
    if !scheme.eq_ignore_ascii_case("basic") {
        return Ok(None);
    }
    let unreadable = bad("the Basic credentials cannot be read");
    let bytes = BASE64_STANDARD.decode(encoded.trim()).map_err(|_| unreadable)?;
    let text = String::from_utf8(bytes).map_err(|_| unreadable)?;
    let (user, password) = text.split_once(':').ok_or(unreadable)?;
    Ok(Some((clean(user.to_owned())?, clean(password.to_owned())?)))
}

/// Whether a body is encoded (RFC 9110 §8.4).
pub(super) fn is_compressed(headers: Headers<'_>) -> Result<bool, BadShape> {
    let coding = header(headers, "content-encoding")?;
    Ok(coding.is_some_and(|coding| !coding.trim().eq_ignore_ascii_case("identity")))
}

/// A body's media type.
pub(super) struct MediaType<'a> {
    essence: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> MediaType<'a> {
    /// `None`: none is given.
    pub(super) fn of(headers: Headers<'a>) -> Result<Option<Self>, BadShape> {
        let Some(text) = header(headers, "content-type")? else { return Ok(None) };
        let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
        let parameters = parameters.split(';').map(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            (name.trim(), value.trim())
        });
        Ok(Some(Self { essence: essence.trim(), parameters: parameters.collect() }))
    }

    pub(super) fn is(&self, essence: &str) -> bool {
        self.essence.eq_ignore_ascii_case(essence)
    }

    /// Whether every character set that it names is UTF-8.
    pub(super) fn is_utf8(&self) -> bool {
        self.values("charset")
            .all(|charset| ["utf-8", "utf8"].iter().any(|utf8| charset.eq_ignore_ascii_case(utf8)))
    }

    /// Where the parts of a multipart body begin; `None` without one clear answer.
    pub(super) fn boundary(&self) -> Option<&'a str> {
        let mut boundaries = self.values("boundary");
        let boundary = boundaries.next()?;
        // RFC 2046 §5.1.1.
        let sound = (1..=70).contains(&boundary.len())
            && boundary.bytes().all(|b| b.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(&b));
        (sound && boundaries.next().is_none()).then_some(boundary)
    }

    fn values<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'a str> + 's {
        let named = self.parameters.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
        named.map(|(_, value)| {
            value.strip_prefix('"').and_then(|inside| inside.strip_suffix('"')).unwrap_or(value)
        })
    }
}

/// Name–value pairs of a form or query, decoded strictly.
pub(super) fn parse_form(bytes: &[u8]) -> Result<Vec<(String, String)>, BadShape> {
    let text = std::str::from_utf8(bytes).map_err(|_| bad("the form is not UTF-8"))?;
    if text.chars().any(|c| c.is_control() || c == ' ') {
        return Err(bad("the form is not urlencoded"));
    }
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

fn decode(text: &str) -> Result<String, BadShape> {
    let text = text.replace('+', " ");
    let mut rest = text.as_str();
    while let Some(at) = rest.find('%') {
        let digits = rest.as_bytes().get(at + 1..at + 3);
        if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
            return Err(bad("the form has a broken percent-encoding"));
        }
        rest = &rest[at + 3..];
    }
    let decoded = percent_decode_str(&text).decode_utf8();
    decoded.map(Into::into).map_err(|_| bad("the form is not UTF-8"))
}
