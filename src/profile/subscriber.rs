//! The PBX's own records of its users: how a voicemail PIN is read and written there (R-B4, R-B6).

use form_urlencoded::Serializer;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::judge::{Conditions, FirstResponse};
use crate::domain::login_name::LoginName;
use crate::domain::secret::Secret;

/// The ways that a kind of PBX offers, each list in the order in which it is tried.
#[derive(Debug, Clone, Default)]
pub struct Subscriber {
    pub(super) writes: Vec<PinWrite>,
    pub(super) reads: Vec<PinRead>,
    pub(super) token_path: Option<String>,
    pub(super) own_page: Option<OwnPage>,
}

impl Subscriber {
    /// How a PIN is written with an access of our own.
    pub fn writes(&self) -> &[PinWrite] {
        &self.writes
    }

    /// How a PIN is read with an access of our own.
    pub fn reads(&self) -> &[PinRead] {
        &self.reads
    }

    /// Where that access gets a token for a user name and a password (RFC 6749 §4.3).
    pub fn token_path(&self) -> Option<&str> {
        self.token_path.as_deref()
    }

    /// The portal's page where users change their own PIN.
    pub fn own_page(&self) -> Option<&OwnPage> {
        self.own_page.as_ref()
    }
}

/// One way to write a PIN.
#[derive(Debug, Clone)]
pub struct PinWrite {
    pub(super) call: ApiCall,
    pub(super) signs: WriteSigns,
}

impl PinWrite {
    /// The request.
    pub fn call(&self) -> &ApiCall {
        &self.call
    }

    /// What its answer means.
    pub fn judge(&self, answer: &FirstResponse<'_>) -> WriteJudgement {
        self.signs.judge(answer)
    }
}

/// One way to read a PIN.
#[derive(Debug, Clone)]
pub struct PinRead {
    pub(super) call: ApiCall,
    pub(super) pin: String,
}

impl PinRead {
    /// The request.
    pub fn call(&self) -> &ApiCall {
        &self.call
    }

    /// The PIN in the answer's JSON. PINs are texts: a number has lost its leading zeros at the
    /// PBX already. Empty is none.
    pub fn pin_in(&self, answer: &Value) -> Option<Secret> {
        let pin = match answer.pointer(&self.pin)? {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.as_u64()?.to_string(),
            _ => return None,
        };
        (!pin.is_empty()).then(|| Secret::new(pin))
    }
}

/// The page where users change their own PIN.
#[derive(Debug, Clone)]
pub struct OwnPage {
    pub(super) path: String,
    pub(super) fields: Vec<String>,
    pub(super) signs: WriteSigns,
}

impl OwnPage {
    /// Its path and query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The names of its form's inputs that take the new PIN; never empty.
    pub fn fields(&self) -> &[String] {
        &self.fields
    }

    /// What the answer to its form means.
    pub fn judge(&self, answer: &FirstResponse<'_>) -> WriteJudgement {
        self.signs.judge(answer)
    }
}

/// What the PBX said to a new PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WriteJudgement {
    /// That it is done.
    Done,
    /// That it will be done.
    Later,
    /// No.
    Refused,
    /// Nothing that the profile knows.
    Unknown,
}

/// The signs of each judgement; one of a list is enough.
#[derive(Debug, Clone, Default)]
pub(super) struct WriteSigns {
    pub(super) done: Vec<Conditions>,
    pub(super) later: Vec<Conditions>,
    pub(super) refused: Vec<Conditions>,
}

impl WriteSigns {
    /// "Refused" comes last: it ends the matter, while the others are still to be proved. Where
    /// two lists match, a mistaken "done" costs a look at the PBX, a mistaken "refused" would
    /// leave a PIN there that nobody here knows.
    fn judge(&self, answer: &FirstResponse<'_>) -> WriteJudgement {
        let any = |signs: &[Conditions]| signs.iter().any(|sign| sign.hold(answer));
        if any(&self.done) {
            WriteJudgement::Done
        } else if any(&self.later) {
            WriteJudgement::Later
        } else if any(&self.refused) {
            WriteJudgement::Refused
        } else {
            WriteJudgement::Unknown
        }
    }
}

/// A request to the PBX's API, with places for the user and the PIN.
#[derive(Debug, Clone)]
pub struct ApiCall {
    pub(super) method: String,
    pub(super) path: Template,
    pub(super) body: ApiBody,
}

/// What a call carries.
#[derive(Debug, Clone)]
pub(super) enum ApiBody {
    None,
    Form(Vec<(String, Template)>),
    /// Texts in it are templates.
    Json(JsonTemplate),
}

/// What is put into the places of a call.
#[derive(Debug, Clone, Copy)]
pub struct Filling<'a> {
    /// Whose record it is.
    pub login: &'a LoginName,
    /// The same as the PBX's login form wants it.
    pub upstream_name: &'a str,
    /// The new PIN, when one is written.
    pub pin: Option<&'a Secret>,
}

impl ApiCall {
    /// The method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Path and query. What is filled in is percent-encoded and cannot change the path's shape;
    /// `None`: a name that would (`..`).
    pub fn target(&self, filling: &Filling<'_>) -> Option<String> {
        let path = self.path.fill(|place| {
            let value = filling.value(place);
            utf8_percent_encode(value, UNRESERVED).to_string()
        });
        let only_path = path.split('?').next().unwrap_or_default();
        let moves = only_path.split('/').any(|segment| matches!(segment, "." | ".."));
        (!moves).then_some(path)
    }

    /// Media type and body, where there is one. It holds the PIN.
    pub fn body(&self, filling: &Filling<'_>) -> Option<(&'static str, String)> {
        self.body_with(&|place| filling.value(place).to_owned())
    }

    /// Path and query of a call that has no places.
    pub(super) fn fixed_target(&self) -> String {
        self.path.fill(|_| String::new())
    }

    /// Media type and body of a call that has no places.
    pub(super) fn fixed_body(&self) -> Option<(&'static str, String)> {
        self.body_with(&|_| String::new())
    }

    fn body_with(&self, value: &impl Fn(Place) -> String) -> Option<(&'static str, String)> {
        match &self.body {
            ApiBody::None => None,
            ApiBody::Form(fields) => {
                let mut form = Serializer::new(String::new());
                for (name, template) in fields {
                    form.append_pair(name, &template.fill(value));
                }
                Some(("application/x-www-form-urlencoded", form.finish()))
            }
            ApiBody::Json(json) => Some(("application/json", json.fill(value).to_string())),
        }
    }

    pub(super) fn has(&self, place: Place) -> bool {
        self.path.has(place) || self.body.has(place)
    }
}

/// RFC 3986 §2.3.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl Filling<'_> {
    fn value(&self, place: Place) -> &str {
        match place {
            Place::Extension => self.login.extension(),
            Place::Tenant => self.login.tenant(),
            Place::Login => self.upstream_name,
            Place::Pin => self.pin.map(Secret::expose).unwrap_or_default(),
        }
    }
}

/// A place in a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Extension,
    Tenant,
    Login,
    Pin,
}

const PLACES: [(&str, Place); 4] = [
    ("{extension}", Place::Extension),
    ("{tenant}", Place::Tenant),
    ("{login}", Place::Login),
    ("{pin}", Place::Pin),
];

/// A text with places, taken apart once so that what is filled in is never read as a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Place(Place),
}

impl Template {
    /// `Err`: what stands in braces and is no place.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            if at > 0 {
                pieces.push(Piece::Text(rest[..at].to_owned()));
            }
            rest = &rest[at..];
            let Some((name, place)) = PLACES.iter().find(|(name, _)| rest.starts_with(name)) else {
                let end = rest.find('}').map_or(rest.len(), |end| end + 1);
                return Err(rest[..end].to_owned());
            };
            pieces.push(Piece::Place(*place));
            rest = &rest[name.len()..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }

    pub(super) fn has(&self, place: Place) -> bool {
        self.0.contains(&Piece::Place(place))
    }

    fn fill(&self, value: impl Fn(Place) -> String) -> String {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(own) => text.push_str(own),
                Piece::Place(place) => text.push_str(&value(*place)),
            }
        }
        text
    }
}

/// A JSON value whose texts are templates.
#[derive(Debug, Clone)]
pub(super) enum JsonTemplate {
    Text(Template),
    Other(Value),
    List(Vec<JsonTemplate>),
    Object(Vec<(String, JsonTemplate)>),
}

impl JsonTemplate {
    /// `Err`: what stands in braces and is no place.
    pub(super) fn parse(value: &Value) -> Result<Self, String> {
        Ok(match value {
            Value::String(text) => Self::Text(Template::parse(text)?),
            Value::Array(items) => {
                Self::List(items.iter().map(Self::parse).collect::<Result<_, _>>()?)
            }
            Value::Object(members) => {
                let members =
                    members.iter().map(|(key, value)| Ok((key.clone(), Self::parse(value)?)));
                Self::Object(members.collect::<Result<_, String>>()?)
            }
            other => Self::Other(other.clone()),
        })
    }

    pub(super) fn has(&self, place: Place) -> bool {
        match self {
            Self::Text(template) => template.has(place),
            Self::Other(_) => false,
            Self::List(items) => items.iter().any(|item| item.has(place)),
            Self::Object(members) => members.iter().any(|(_, value)| value.has(place)),
        }
    }

    fn fill(&self, value: &impl Fn(Place) -> String) -> Value {
        match self {
            Self::Text(template) => template.fill(value).into(),
            Self::Other(other) => other.clone(),
            Self::List(items) => items.iter().map(|item| item.fill(value)).collect(),
            Self::Object(members) => {
                members.iter().map(|(key, member)| (key.clone(), member.fill(value))).collect()
            }
        }
    }
}

impl ApiBody {
    pub(super) fn has(&self, place: Place) -> bool {
        match self {
            Self::None => false,
            Self::Form(fields) => fields.iter().any(|(_, template)| template.has(place)),
            Self::Json(json) => json.has(place),
        }
    }
}

#[cfg(test)]
#[path = "subscriber_tests.rs"]
mod tests;
