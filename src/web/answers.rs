//! The one table from outcomes and outages to HTTP, and the pages (or problem documents, RFC
//! 9457) that say them.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use minijinja::context;
use minijinja::value::Value;

use super::look::Look;
use super::minutes;
use super::notice::Message;
use crate::flows::Outage;

/// Why a request gets no answer of its own. Used by the own pages and by the gateway alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Not understood: bad path, undecodable form.
    BadRequest,
    /// Needs a session (scripts; people are sent to the login page instead).
    SignedOut,
    /// Refused by a rule.
    Forbidden,
    /// No such page.
    NotFound,
    /// The page exists, but not for this method.
    MethodNotAllowed,
    /// A content type that this form does not have.
    UnsupportedMediaType,
    /// More or longer header fields than are read.
    HeadersTooLarge,
    /// The client did not finish its request in time.
    Timeout,
    /// The body is larger than the page accepts.
    TooLarge,
    /// A rate limit.
    TooManyRequests {
        /// When to try again.
        retry_after: Duration,
    },
    /// The PBX cannot be reached, or answers nonsense. Not the user's fault.
    PbxDown,
    /// The PBX does not answer in time.
    PbxTimeout,
    /// A store of ours does not answer.
    StoreDown,
    /// More logins at once than the machine can check.
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// A defect of ours.
    Internal,
}

impl ErrorKind {
    /// Status, key of its texts, and when to try again.
    fn row(self) -> (StatusCode, &'static str, Option<Duration>) {
        const SOON: Option<Duration> = Some(Duration::from_secs(30));
        match self {
            Self::BadRequest => (StatusCode::BAD_REQUEST, "bad_request", None),
            Self::SignedOut => (StatusCode::UNAUTHORIZED, "signed_out", None),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden", None),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found", None),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", None),
            Self::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", None)
            }
            Self::HeadersTooLarge => {
                (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large", None)
            }
            Self::Timeout => (StatusCode::REQUEST_TIMEOUT, "timeout", None),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large", None),
            Self::TooManyRequests { retry_after } => {
                (StatusCode::TOO_MANY_REQUESTS, "too_many_requests", Some(retry_after))
            }
            Self::PbxDown => (StatusCode::BAD_GATEWAY, "pbx_down", SOON),
            Self::PbxTimeout => (StatusCode::GATEWAY_TIMEOUT, "pbx_timeout", SOON),
            Self::StoreDown => (StatusCode::SERVICE_UNAVAILABLE, "store_down", SOON),
            Self::Busy { retry_after } => {
                (StatusCode::SERVICE_UNAVAILABLE, "busy", Some(retry_after))
            }
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", None),
        }
    }

    /// The HTTP status.
    pub fn status(self) -> StatusCode {
        self.row().0
    }
}

impl From<&Outage> for ErrorKind {
    fn from(outage: &Outage) -> Self {
        match outage {
            Outage::Pbx(_) | Outage::Unclear(_) => Self::PbxDown,
            Outage::Store(_) => Self::StoreDown,
            Outage::Busy(retry_after) => Self::Busy { retry_after: *retry_after },
        }
    }
}

/// Why a form was not accepted: the user stays on the page and may correct it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// What login messages say too.
    Said(Message),
    /// A field is empty.
    Incomplete(&'static str),
    /// The present portal password is wrong.
    CurrentWrong,
    /// The PIN that should prove who it is is wrong.
    CurrentPinWrong {
        /// Where it was typed.
        field: &'static str,
    },
    /// The PBX does not accept the PIN.
    PinWrong,
    /// No PIN was typed.
    PinMissing {
        /// Where it was asked for.
        field: &'static str,
    },
    /// The two PINs differ.
    PinsDiffer,
    /// The PBX does not take the new PIN.
    PinRefused,
    /// The two new passwords differ.
    Different,
    /// What was chosen breaks rules; each as a sentence.
    Against {
        /// Rules for portal passwords.
        password: Vec<String>,
        /// Rules for voicemail PINs.
        pin: Vec<String>,
    },
    /// The e-mail address is none.
    BadEmail,
    /// The e-mail address is changed only with a portal password.
    PasswordNeeded,
    /// E-mail is off.
    NoMail,
    /// Several people have this address: the extension must be said, too.
    ExtensionNeeded,
    /// It is being saved in another window at this moment.
    Conflict,
}

/// A sentence, and single points where there are several.
#[derive(Debug, Clone)]
pub(super) struct Part {
    text: String,
    points: Vec<String>,
}

impl Part {
    /// A sentence alone.
    pub fn of(text: String) -> Self {
        Self { text, points: Vec::new() }
    }

    /// All of it, as one text.
    pub fn words(&self) -> String {
        let words = std::iter::once(&self.text).chain(&self.points);
        words.map(String::as_str).collect::<Vec<_>>().join(" ")
    }
}

impl Refusal {
    /// The HTTP status. Always an error status: password managers then do not offer to keep what
    /// was typed.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Said(Message::Locked { .. }) => StatusCode::TOO_MANY_REQUESTS,
            Self::Said(Message::Overtaken) | Self::Conflict => StatusCode::CONFLICT,
            Self::Said(_)
            | Self::CurrentWrong
            | Self::CurrentPinWrong { .. }
            | Self::PinWrong
            | Self::PasswordNeeded
            | Self::NoMail => StatusCode::FORBIDDEN,
            Self::Incomplete(_)
            | Self::PinMissing { .. }
            | Self::PinsDiffer
            | Self::PinRefused
            | Self::Different
            | Self::Against { .. }
            | Self::BadEmail
            | Self::ExtensionNeeded => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }

    /// When to try again, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Said(Message::Locked { wait }) => Some(*wait),
            _ => None,
        }
    }

    /// What is said.
    pub fn parts(&self, look: &Look) -> Vec<Part> {
        let key = match self {
            Self::Said(message) => return vec![Part::of(look.message_text(message))],
            Self::Against { password, pin } => {
                return [("message.pin_against", pin), ("message.against", password)]
                    .into_iter()
                    .filter(|(_, points)| !points.is_empty())
                    .map(|(key, points)| Part {
                        text: look.texts().get(key).to_owned(),
                        points: points.clone(),
                    })
                    .collect();
            }
            Self::Incomplete(key) => key,
            Self::CurrentWrong => "message.current_wrong",
            Self::CurrentPinWrong { .. } => "message.current_pin_wrong",
            Self::PinWrong => "message.pin_wrong",
            Self::PinMissing { .. } => "message.pin_missing",
            Self::PinsDiffer => "message.pins_differ",
            Self::PinRefused => "message.pin_refused",
            Self::Different => "message.different",
            Self::BadEmail => "message.bad_email",
            Self::PasswordNeeded => "security.email_needs_password",
            Self::NoMail => {
                let support = look.support();
                let text = look.texts().fill("security.email_off", &[("support", support)]);
                return vec![Part::of(text)];
            }
            Self::ExtensionNeeded => "ask.extension_needed",
            Self::Conflict => "message.conflict",
        };
        vec![Part::of(look.texts().get(key).to_owned())]
    }

    /// The fields to mend, by name, from the top of the form; none where it is the form as a whole.
    pub fn fields(&self) -> Vec<&'static str> {
        match self {
            Self::CurrentWrong => vec!["current_password"],
            Self::CurrentPinWrong { field } | Self::PinMissing { field } => vec![field],
            Self::PinWrong | Self::PinsDiffer | Self::PinRefused => vec!["pin"],
            Self::Different => vec!["confirm"],
            Self::Against { password, pin } => [("pin", pin), ("password", password)]
                .into_iter()
                .filter(|(_, points)| !points.is_empty())
                .map(|(field, _)| field)
                .collect(),
            Self::BadEmail => vec!["email"],
            Self::ExtensionNeeded => vec!["extension"],
            Self::Said(_)
            | Self::Incomplete(_)
            | Self::Conflict
            | Self::PasswordNeeded
            | Self::NoMail => Vec::new(),
        }
    }
}

impl From<Part> for Value {
    fn from(part: Part) -> Self {
        context! { text => part.text, points => part.points }
    }
}

/// Makes error answers in the words of one configuration.
#[derive(Clone)]
pub struct ErrorPages {
    look: Look,
}

impl ErrorPages {
    pub(super) fn new(look: Look) -> Self {
        Self { look }
    }

    /// The answer for `kind`: a page for people, an RFC 9457 problem document for scripts.
    pub fn page(&self, kind: ErrorKind, wants_json: bool) -> Response<Bytes> {
        let (status, name, retry_after) = kind.row();
        let texts = self.look.texts();
        let wait = retry_after.map(|wait| match wait.as_secs() {
            0..60 => texts.count("seconds", wait.as_secs().max(1)),
            _ => texts.count("minutes", minutes(wait)),
        });
        let title = texts.get(&format!("error.{name}.title")).to_owned();
        let wait = wait.unwrap_or_default();
        let text = texts.fill(&format!("error.{name}.text"), &[("wait", &wait)]);
        let mut response = match wants_json {
            true => problem(status, &title, &text),
            false => {
                let again = matches!(
                    kind,
                    ErrorKind::PbxDown
                        | ErrorKind::PbxTimeout
                        | ErrorKind::StoreDown
                        | ErrorKind::Busy { .. }
                        | ErrorKind::TooManyRequests { .. }
                );
                let context = context! {
                    title => title.as_str(),
                    text => text.as_str(),
                    status => status.as_u16(),
                    again,
                };
                match self.look.render("error.html", context) {
                    Some(page) => html(status, page),
                    None => problem(status, &title, &text),
                }
            }
        };
        set_retry_after(&mut response, retry_after);
        response
    }
}

/// A page.
pub(super) fn html(status: StatusCode, page: String) -> Response<Bytes> {
    respond(status, "text/html; charset=utf-8", page)
}

/// A problem document (RFC 9457).
pub(super) fn problem(status: StatusCode, title: &str, detail: &str) -> Response<Bytes> {
    let body = serde_json::json!({
        "type": "about:blank",
        "title": title,
        "status": status.as_u16(),
        "detail": detail,
    });
    respond(status, "application/problem+json", body.to_string())
}

/// A document for the script of a page.
pub(super) fn document(status: StatusCode, value: &serde_json::Value) -> Response<Bytes> {
    respond(status, "application/json", value.to_string())
}

/// One thing to say to a script.
pub(super) fn said(text: &str) -> Response<Bytes> {
    let body = serde_json::json!({ "message": text }).to_string();
    respond(StatusCode::OK, "application/json", body)
}

/// Leads on after a form was carried out: people by 303, scripts by the address in JSON.
pub(super) fn lead_on(location: &str, wants_json: bool) -> Response<Bytes> {
    if wants_json {
        let body = serde_json::json!({ "location": location }).to_string();
        return respond(StatusCode::OK, "application/json", body);
    }
    let mut response = respond(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", String::new());
    // Locations are configured paths or have passed `safe_next`: always header values.
    let location = HeaderValue::try_from(location).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(LOCATION, location);
    response
}

/// Says when to try again, in whole seconds, rounded up.
pub(super) fn set_retry_after(response: &mut Response<Bytes>, wait: Option<Duration>) {
    if let Some(wait) = wait {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    protect(response.headers_mut());
    response
}

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
    img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The policy of pages whose script asks how long the session still lives.
pub(super) const POLICY_OF_SESSION: &str = "default-src 'none'; style-src 'self'; \
    script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'";

/// The headers of every answer of ours that has none of its own (static files are kept).
pub(super) fn protect(headers: &mut HeaderMap) {
    for (name, value) in [
        (HeaderName::from_static("content-security-policy"), POLICY),
        (HeaderName::from_static("referrer-policy"), "no-referrer"),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
        (HeaderName::from_static("x-frame-options"), "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (CACHE_CONTROL, "no-store"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}
