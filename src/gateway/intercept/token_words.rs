//! What clients of token endpoints are told: errors of RFC 6749 §5.2, always JSON. Descriptions are
//! for the people behind the clients: English, because the RFC allows ASCII only.

use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::token::no_store;
use crate::flows::Outage;
use crate::flows::tokens::TokenRefusal;
use crate::profile::BadTokenCall;

/// The client should come again after so long, when nothing better is known.
const SOON: Duration = Duration::from_secs(30);

/// An error answer.
#[derive(Debug)]
pub(in crate::gateway) struct Refused {
    status: StatusCode,
    error: String,
    description: Option<String>,
    field: Option<Box<(HeaderName, HeaderValue)>>,
}

impl Refused {
    fn new(status: StatusCode, error: &str, description: impl Into<String>) -> Self {
        let description = Some(description.into());
        Self { status, error: error.to_owned(), description, field: None }
    }

    fn grant(description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_grant", description)
    }

    fn with(self, name: HeaderName, value: impl TryInto<HeaderValue>) -> Self {
        Self { field: value.try_into().ok().map(|value| Box::new((name, value))), ..self }
    }

    fn retry_after(self, wait: Duration) -> Self {
        self.with(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)))
    }

    fn client(used_basic: bool) -> Self {
        let words = "The client's id or secret is wrong, or not the one that the tokens are for.";
        let refused = Self::new(StatusCode::UNAUTHORIZED, "invalid_client", words);
        match used_basic {
            true => refused.with(header::WWW_AUTHENTICATE, "Basic realm=\"token\""),
            false => refused,
        }
    }

    /// As it is sent.
    pub(in crate::gateway) fn answer(self) -> Response<Bytes> {
        let mut body = json!({ "error": self.error });
        if let Some(description) = self.description {
            body["error_description"] = description.into();
        }
        let mut response = own_answer(self.status, &body);
        if let Some((name, value)) = self.field.map(|field| *field) {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// An answer in JSON that nobody keeps (RFC 6749 §5.1).
pub(super) fn own_answer(status: StatusCode, body: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    no_store(headers);
    response
}

/// Why there are no tokens. `address` is where the account's own pages are.
pub(super) fn refusal(
    refusal: &TokenRefusal,
    address: &str,
    now: Timestamp,
    used_basic: bool,
) -> Refused {
    match refusal {
        TokenRefusal::Credentials => Refused::grant("The user name or the password is wrong."),
        TokenRefusal::PinTooLate => Refused::grant(format!(
            "The voicemail PIN is no longer accepted. Set a portal password at {address}/security \
             and use it here."
        )),
        TokenRefusal::InitialPassword => Refused::grant(format!(
            "An initial password only opens the page on which it is replaced. Set a portal \
             password at {address}/login and use it here."
        )),
        TokenRefusal::PinUnknown => Refused::grant(format!(
            "The password is right, but the voicemail PIN has changed since. Sign in once at \
             {address}/login and enter it there, then try again."
        )),
        TokenRefusal::Locked { until } => {
            let wait = Duration::try_from(until.duration_since(now)).unwrap_or_default();
            let seconds = wait.as_secs().max(1);
            let words = format!("Too many failed attempts. Try again in {seconds} seconds.");
            let status = StatusCode::TOO_MANY_REQUESTS;
            Refused::new(status, "temporarily_unavailable", words).retry_after(wait)
        }
        TokenRefusal::BadClient => Refused::client(used_basic),
        TokenRefusal::Rejected { error, description } => Refused {
            status: StatusCode::BAD_REQUEST,
            error: error.clone(),
            description: description.clone(),
            field: None,
        },
        TokenRefusal::RefreshInvalid => Refused::grant(
            "The refresh token is not valid (any more). Sign in again with the portal password.",
        ),
    }
}

/// A request that has no shape that is known.
pub(super) fn unreadable(bad: &BadTokenCall, used_basic: bool) -> Refused {
    if bad.error == "invalid_client" {
        return Refused::client(used_basic);
    }
    let status = StatusCode::from_u16(bad.status).unwrap_or(StatusCode::BAD_REQUEST);
    let mut words = bad.why.to_owned();
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    Refused::new(status, bad.error, words + ".")
}

pub(super) fn unsupported_grant() -> Refused {
    let words = "This endpoint gives no tokens for that grant_type.";
    Refused::new(StatusCode::BAD_REQUEST, "unsupported_grant_type", words)
}

/// A method that the endpoint does not have; `allowed` are those that it has.
pub(in crate::gateway) fn wrong_method<'a>(allowed: impl Iterator<Item = &'a str>) -> Refused {
    let allowed = allowed.collect::<Vec<_>>().join(", ");
    let words = "Tokens are not asked for by this method.";
    Refused::new(StatusCode::METHOD_NOT_ALLOWED, "invalid_request", words)
        .with(header::ALLOW, allowed)
}

/// A body that is larger than any request for tokens.
pub(in crate::gateway) fn too_large() -> Refused {
    Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request", "The body is too large.")
}

pub(super) fn no_bearer() -> Refused {
    let words = "The token to be ended is missing: send it as bearer.";
    Refused::new(StatusCode::UNAUTHORIZED, "invalid_request", words)
        .with(header::WWW_AUTHENTICATE, "Bearer realm=\"token\"")
}

/// Something does not answer: never a wrong password.
pub(super) fn outage(outage: &Outage) -> Refused {
    let (status, words, wait) = match outage {
        Outage::Pbx(_) | Outage::Unclear(_) => {
            (StatusCode::BAD_GATEWAY, "The telephone system does not answer.", SOON)
        }
        Outage::Store(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, "Tokens cannot be issued at the moment.", SOON)
        }
        Outage::Busy(wait) => {
            (StatusCode::SERVICE_UNAVAILABLE, "Too many sign-ins at once.", *wait)
        }
    };
    Refused::new(status, "temporarily_unavailable", words).retry_after(wait)
}

/// What an application is told, in the answer itself, whose user still has a PIN (R-F2).
pub(super) fn password_notice(forced_at: Option<Timestamp>, address: &str) -> String {
    let end = match forced_at {
        Some(at) => format!("From {} on", at.strftime("%Y-%m-%d %H:%M UTC")),
        None => "Soon".to_owned(),
    };
    format!(
        "{end}, the voicemail PIN is no longer accepted here. Set a portal password at \
         {address}/security and use it instead."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(refused: Refused) -> (u16, Value, http::HeaderMap) {
        let response = refused.answer();
        let body = serde_json::from_slice(response.body()).unwrap();
        (response.status().as_u16(), body, response.headers().clone())
    }

    /// R-F2, RFC 6749 §5.2: what every refusal is called, and that its description says what to do.
    #[test]
    fn refusals_have_the_words_that_help() {
        let now: Timestamp = "2018-12-03T12:00:00Z".parse().unwrap();
        let rejected = TokenRefusal::Rejected { error: "invalid_scope".into(), description: None };
        let locked = TokenRefusal::Locked { until: now + Duration::from_secs(900) };
        for (reason, status, error, says) in [
            (TokenRefusal::Credentials, 400, "invalid_grant", "password is wrong"),
            (
                TokenRefusal::PinTooLate,
                400,
                "invalid_grant",
                "The voicemail PIN is no longer accepted. Set a portal password at \
                 https://voice.example/account/security and use it here.",
            ),
            (TokenRefusal::InitialPassword, 400, "invalid_grant", "/account/login and use it"),
            (TokenRefusal::PinUnknown, 400, "invalid_grant", "Sign in once at https://voice"),
            (locked, 429, "temporarily_unavailable", "in 900 seconds"),
            (TokenRefusal::BadClient, 401, "invalid_client", "client's id or secret"),
            (rejected, 400, "invalid_scope", ""),
            (TokenRefusal::RefreshInvalid, 400, "invalid_grant", "Sign in again"),
        ] {
            let refused = refusal(&reason, "https://voice.example/account", now, false);
            let (got, body, headers) = parts(refused);
            assert_eq!((got, body["error"].as_str()), (status, Some(error)), "{reason:?}");
            let description = body["error_description"].as_str().unwrap_or_default();
            assert!(description.contains(says) && description.is_ascii(), "{description}");
            assert!(!description.contains(['"', '\\']), "RFC 6749 §5.2: {description}");
            assert_eq!(headers["cache-control"], "no-store");
            assert_eq!(headers.get("retry-after").is_some(), status == 429, "{reason:?}");
            assert!(!headers.contains_key("www-authenticate"), "{reason:?}");
        }
    }

    /// RFC 6749 §5.2: who came with HTTP Basic is asked for it again.
    #[test]
    fn basic_is_answered_with_basic() {
        let refused = refusal(&TokenRefusal::BadClient, "", Timestamp::UNIX_EPOCH, true);
        assert_eq!(parts(refused).2["www-authenticate"], "Basic realm=\"token\"");
    }

    /// An outage is never a wrong password, and says when to come again.
    #[test]
    fn outages_say_when_to_come_again() {
        let broken = || crate::ports::Unavailable::new("pbx", "secret detail");
        for (reason, status) in [
            (Outage::Pbx(broken()), 502),
            (Outage::Unclear(broken()), 502),
            (Outage::Store(broken()), 503),
            (Outage::Busy(Duration::from_secs(2)), 503),
        ] {
            let (got, body, headers) = parts(outage(&reason));
            assert_eq!((got, body["error"].as_str()), (status, Some("temporarily_unavailable")));
            assert!(headers.contains_key("retry-after") && !body.to_string().contains("secret"));
        }
    }
}
