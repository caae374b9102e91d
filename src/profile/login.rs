//! Login endpoints: which request is a login, and what it carries. Only the profile's own shape
//! is read; whatever else a PBX might understand there is refused, never guessed at.

use super::answers::{AnswerKind, AnswerTemplate, Answers};
use super::credentials::CredentialField;
use super::judge::{self, FirstResponse, Judgement, Rule};
use super::request_body::{
    BadShape, FORM, JSON, MediaType, bad, basic, clean, header, is_compressed, only, parse_form,
    parse_json,
};
use crate::domain::secret::Secret;

/// Where a value stands in a login request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// A field of an `application/x-www-form-urlencoded` body.
    Form(String),
    /// A place in an `application/json` body (RFC 6901).
    Json(String),
    /// A parameter of the query.
    Query(String),
    /// The user part of HTTP Basic (RFC 7617).
    BasicUser,
    /// The password part of HTTP Basic.
    BasicPassword,
    /// A request header of its own, lower-case.
    Header(String),
}

/// Which hidden inputs of the login form go with Passgate's own login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HiddenFields {
    /// All of them; names may be random.
    All,
    /// Only these.
    Named(Vec<String>),
}

/// A token that the portal wants in a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Csrf {
    /// `<meta name=… content=TOKEN>` of the login page.
    Meta {
        /// The meta element's name.
        name: String,
        /// The header that takes its content.
        header: String,
    },
    /// A cookie of the login page.
    Cookie {
        /// The cookie's name.
        name: String,
        /// The header that takes its (percent-decoded) value.
        header: String,
    },
}

/// One way to log in to the portal.
#[derive(Debug, Clone)]
pub struct LoginEndpoint {
    /// Name for logs and metrics.
    pub name: String,
    /// The page that holds its form, path and query.
    pub page: String,
    /// Where the login name stands.
    pub user: Carrier,
    /// Where the secret stands.
    pub secret: Carrier,
    /// Where the tenant stands, if it has a field of its own.
    pub tenant: Option<Carrier>,
    /// Form fields that are carried over from the browser (language …).
    pub carried: Vec<String>,
    /// Constant form fields that the PBX wants.
    pub fixed: Vec<(String, String)>,
    /// Hidden inputs to take from the page.
    pub hidden: HiddenFields,
    /// A token to take from the page into a header.
    pub csrf: Option<Csrf>,
    pub(super) paths: Vec<String>,
    pub(super) methods: Vec<String>,
    pub(super) rules: Vec<Rule>,
    pub(super) answers: Answers,
}

/// A login request as it came, body bounded by the caller.
#[derive(Debug, Clone, Copy, Default)]
pub struct LoginRequest<'a> {
    /// All headers, names in lower case.
    pub headers: &'a [(&'a str, &'a str)],
    /// The raw query, without `?`.
    pub query: Option<&'a str>,
    /// The raw body.
    pub body: &'a [u8],
}

/// What a login request carries.
#[derive(Debug, Clone)]
pub struct ReadLogin {
    /// The login name as typed.
    pub user: String,
    /// The secret as typed: password or PIN.
    pub secret: Secret,
    /// The tenant, where the form has a field for it and it was filled in.
    pub tenant: Option<String>,
    /// Fields to carry over to the PBX.
    pub carried: Vec<(String, String)>,
}

impl LoginEndpoint {
    /// Its paths, the one that Passgate itself posts to first.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(String::as_str)
    }

    /// The method by which Passgate itself logs in.
    pub fn method(&self) -> &str {
        &self.methods[0]
    }

    /// The answer in the portal's own shape, if this endpoint is called by scripts.
    pub fn answer(&self, kind: AnswerKind) -> Option<&AnswerTemplate> {
        match kind {
            AnswerKind::Refused => self.answers.refused.as_ref(),
            AnswerKind::Locked => self.answers.locked.as_ref(),
            AnswerKind::SetPassword => self.answers.set_password.as_ref(),
        }
    }

    /// Whether the credentials stand in a JSON body.
    pub fn is_json(&self) -> bool {
        self.carriers().any(|carrier| matches!(carrier, Carrier::Json(_)))
    }

    pub(super) fn answers_to(&self, method: &str, path: &str) -> bool {
        self.methods.iter().any(|known| known == method)
            && self.paths.iter().any(|known| known == path)
    }

    pub(super) fn judge(&self, first: &FirstResponse<'_>) -> Judgement {
        judge::judge(&self.rules, first)
    }

    pub(super) fn read(&self, request: &LoginRequest<'_>) -> Result<ReadLogin, BadShape> {
        let query = parse_form(request.query.unwrap_or_default().as_bytes())?;
        self.refuse_strays(&query, |carrier| match carrier {
            Carrier::Query(name) => Some(name),
            _ => None,
        })?;
        let wants_form = self.carriers().any(|carrier| matches!(carrier, Carrier::Form(_)));
        let (mut form, mut json) = (Vec::new(), serde_json::Value::Null);
        if self.is_json() {
            require_media_type(request, JSON)?;
            json = parse_json(request.body)?;
        } else if wants_form {
            require_media_type(request, FORM)?;
            form = parse_form(request.body)?;
            self.refuse_strays(&form, |carrier| match carrier {
                Carrier::Form(name) => Some(name),
                _ => None,
            })?;
        }
        let sources = Sources { request, query: &query, form: &form, json: &json };
        let user = sources.value(&self.user)?.ok_or(bad("the login name is missing"))?;
        let secret = sources.value(&self.secret)?.ok_or(bad("the secret is missing"))?;
        let tenant = match &self.tenant {
            Some(carrier) => sources.value(carrier)?.filter(|tenant| !tenant.trim().is_empty()),
            None => None,
        };
        let mut carried = Vec::new();
        for name in &self.carried {
            if let Some(value) = only(&form, name)? {
                carried.push((name.clone(), value));
            }
        }
        Ok(ReadLogin { user, secret: Secret::new(secret), tenant, carried })
    }

    fn carriers(&self) -> impl Iterator<Item = &Carrier> {
        [&self.user, &self.secret].into_iter().chain(&self.tenant)
    }

    /// Refuses names that a PBX would take for one of our fields although they are spelled
    /// otherwise, or stand where the profile does not expect them.
    fn refuse_strays<'a>(
        &'a self,
        fields: &[(String, String)],
        expected_here: impl Fn(&'a Carrier) -> Option<&'a String>,
    ) -> Result<(), BadShape> {
        for carrier in self.carriers() {
            let (Carrier::Form(name) | Carrier::Query(name)) = carrier else { continue };
            let field = CredentialField::new(name, false);
            let exact = expected_here(carrier);
            let stray = |sent: &str| field.matches(sent) && exact.is_none_or(|exact| sent != exact);
            if fields.iter().any(|(sent, _)| stray(sent)) {
                return Err(bad("a credential field is misspelt or stands in the wrong place"));
            }
        }
        Ok(())
    }
}

impl PartialEq for LoginEndpoint {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// The parts of a request where values may stand.
struct Sources<'a> {
    request: &'a LoginRequest<'a>,
    query: &'a [(String, String)],
    form: &'a [(String, String)],
    json: &'a serde_json::Value,
}

impl Sources<'_> {
    fn value(&self, carrier: &Carrier) -> Result<Option<String>, BadShape> {
        match carrier {
            Carrier::Form(name) => only(self.form, name),
            Carrier::Query(name) => only(self.query, name),
            Carrier::Json(pointer) => match self.json.pointer(pointer) {
                None | Some(serde_json::Value::Null) => Ok(None),
                Some(serde_json::Value::String(text)) => clean(text.clone()).map(Some),
                Some(_) => Err(bad("a credential field is not a string")),
            },
            Carrier::BasicUser => Ok(basic(self.request.headers)?.map(|(user, _)| user)),
            Carrier::BasicPassword => {
                Ok(basic(self.request.headers)?.map(|(_, password)| password))
            }
            Carrier::Header(name) => {
                header(self.request.headers, name)?.map(|value| clean(value.to_owned())).transpose()
            }
        }
    }
}

/// The body must be of the one media type, in UTF-8, and not encoded.
fn require_media_type(request: &LoginRequest<'_>, expected: &str) -> Result<(), BadShape> {
    let wrong = |why| Err(BadShape { status: 415, why });
    if is_compressed(request.headers)? {
        return wrong("the body is compressed");
    }
    let Some(media_type) = MediaType::of(request.headers)? else {
        return wrong("the body's media type is not given");
    };
    if !media_type.is(expected) {
        return wrong("the body's media type is not the login form's");
    }
    if !media_type.is_utf8() {
        return wrong("the body's character set is not UTF-8");
    }
    Ok(())
}

#[cfg(test)]
#[path = "login_tests.rs"]
mod tests;
