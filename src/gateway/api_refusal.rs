//! What clients of the API are told when a request is refused: a problem document (RFC 9457) with
//! the members of RFC 6750 and RFC 6749 §5.2, and the challenge that fits. English: the RFCs allow
//! ASCII only.

use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};

/// Why an API request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ApiRefusal {
    /// It shows no credentials.
    NoCredentials,
    /// Its token does not work (any more).
    BadToken,
    /// Obtained with a PIN, or a login with one: its time is over.
    PinTooLate,
    /// Login name or secret is wrong.
    BadLogin,
    /// An initial password: it opens nothing here.
    InitialPassword,
    /// The PBX asks for a second factor.
    SecondFactor,
    /// No PIN is known that the PBX takes.
    PinUnknown,
    /// Too many failures.
    Locked(Duration),
    /// Credentials stand where they do not belong.
    Misplaced,
    /// The PBX refuses it, whatever token it is shown.
    RefusedByPbx,
    /// The PBX has been given another token meanwhile; what was asked for was not done.
    SendAgain,
    /// The PBX takes no token at this moment.
    NoPbxToken,
}

/// `WWW-Authenticate` of an answer.
enum Challenge {
    None,
    Bearer,
    /// With the error and its description.
    BearerError,
    Basic,
}

impl ApiRefusal {
    pub(super) fn status(self) -> StatusCode {
        self.row().0
    }

    fn row(self) -> (StatusCode, &'static str, Challenge, &'static str) {
        const UNAUTHORISED: StatusCode = StatusCode::UNAUTHORIZED;
        const BUSY: StatusCode = StatusCode::SERVICE_UNAVAILABLE;
        match self {
            Self::NoCredentials => {
                (UNAUTHORISED, "", Challenge::Bearer, "A bearer token is needed.")
            }
            Self::BadToken => (
                UNAUTHORISED,
                "invalid_token",
                Challenge::BearerError,
                "The token is not valid, has expired, or was revoked.",
            ),
            Self::PinTooLate => (
                UNAUTHORISED,
                "invalid_token",
                Challenge::BearerError,
                "The voicemail PIN is no longer accepted. Set a portal password at {place}",
            ),
            Self::BadLogin => (
                UNAUTHORISED,
                "invalid_grant",
                Challenge::Basic,
                "The login name or the password is not right.",
            ),
            Self::InitialPassword => (
                StatusCode::FORBIDDEN,
                "access_denied",
                Challenge::None,
                "Replace the initial password first, at {place}",
            ),
            Self::SecondFactor => (
                StatusCode::FORBIDDEN,
                "access_denied",
                Challenge::None,
                "This account needs a second factor; use the token endpoint.",
            ),
            Self::PinUnknown => (
                StatusCode::FORBIDDEN,
                "access_denied",
                Challenge::None,
                "The password is right, but the voicemail PIN was changed. Sign in at {place}",
            ),
            Self::Locked(_) => (
                StatusCode::TOO_MANY_REQUESTS,
                "temporarily_unavailable",
                Challenge::None,
                "Too many failed attempts; see Retry-After.",
            ),
            Self::Misplaced => (
                StatusCode::BAD_REQUEST,
                "invalid_request",
                Challenge::None,
                "Credentials are taken from the Authorization header only.",
            ),
            Self::RefusedByPbx => (
                StatusCode::FORBIDDEN,
                "insufficient_scope",
                Challenge::None,
                "The telephone system does not allow this.",
            ),
            Self::SendAgain => (
                BUSY,
                "temporarily_unavailable",
                Challenge::None,
                "Nothing was done yet; send the request again.",
            ),
            Self::NoPbxToken => (
                BUSY,
                "temporarily_unavailable",
                Challenge::None,
                "The telephone system does not let this account in at the moment. If it lasts, \
                 sign in at {place}",
            ),
        }
    }

    fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Locked(wait) => Some(wait),
            Self::SendAgain => Some(Duration::from_secs(1)),
            Self::NoPbxToken => Some(Duration::from_secs(60)),
            _ => None,
        }
    }

    /// The answer; `place` is the address of our sign-in page.
    pub(super) fn answer(self, place: &str) -> Response<Bytes> {
        let (status, error, challenge, description) = self.row();
        let description = description.replace("{place}", place);
        let mut body = serde_json::json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or_default(),
            "status": status.as_u16(),
            "detail": description,
        });
        if !error.is_empty() {
            body["error"] = error.into();
            body["error_description"] = description.as_str().into();
        }
        let mut response = Response::new(Bytes::from(body.to_string()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, kind);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let challenge = match challenge {
            Challenge::None => None,
            Challenge::Bearer => Some("Bearer realm=\"API\"".to_owned()),
            Challenge::BearerError => Some(format!(
                "Bearer realm=\"API\", error=\"{error}\", error_description=\"{description}\""
            )),
            // Only who came with Basic is asked for it: a browser would open its own dialog.
            Challenge::Basic => Some("Basic realm=\"API\", charset=\"UTF-8\"".to_owned()),
        };
        if let Some(Ok(challenge)) = challenge.map(HeaderValue::try_from) {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(wait) = self.retry_after() {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6750 §3: who shows nothing is told no error, who shows a bad token is; both in the header
    /// and, for those who read that, in JSON.
    #[test]
    fn refusals_say_what_is_wrong() {
        let place = "https://portal.example/account/login";
        let nothing = ApiRefusal::NoCredentials.answer(place);
        assert_eq!(nothing.status(), 401);
        assert_eq!(nothing.headers()["www-authenticate"], "Bearer realm=\"API\"");
        assert!(!String::from_utf8_lossy(nothing.body()).contains("\"error\""));

        let late = ApiRefusal::PinTooLate.answer(place);
        let challenge = late.headers()["www-authenticate"].to_str().unwrap();
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
        assert!(challenge.contains("portal password at https://portal.example/"), "{challenge}");
        let body: serde_json::Value = serde_json::from_slice(late.body()).unwrap();
        assert_eq!((&body["error"], &body["status"]), (&"invalid_token".into(), &401.into()));

        let locked = ApiRefusal::Locked(Duration::from_millis(1_500)).answer(place);
        assert_eq!(
            (locked.status().as_u16(), &locked.headers()["retry-after"]),
            (429, &"2".parse().unwrap())
        );
    }
}
