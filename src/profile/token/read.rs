//! Reading a client's request for tokens, in every shape that real clients use and no other.

use std::fmt;

use serde_json::Value;

use super::{Grant, TokenEndpoint};
use crate::domain::api_client::ClientCredentials;
use crate::domain::secret::Secret;
use crate::profile::request_body::{
    BadShape, FORM, JSON, MULTIPART, MediaType, bad, basic, clean, is_compressed, only, parse_form,
    parse_json, parse_multipart,
};

/// A request to a token endpoint as it came, body bounded by the caller.
#[derive(Clone, Copy, Default)]
pub struct TokenCall<'a> {
    /// The method, one that the endpoint answers to.
    pub method: &'a str,
    /// All headers, names in lower case.
    pub headers: &'a [(&'a str, &'a str)],
    /// The raw query, without `?`.
    pub query: Option<&'a str>,
    /// The raw body.
    pub body: &'a [u8],
}

/// What a request for tokens carries.
#[derive(Clone)]
pub struct ReadToken {
    /// What is shown for them.
    pub grant: AskedGrant,
    /// The application's credentials, from fields or HTTP Basic.
    pub client: Option<ClientCredentials>,
    /// Fields to carry over to the PBX. May be secret (the code of a second factor).
    pub carried: Vec<(String, String)>,
    /// The tenant, where the endpoint has a field for it and it was filled in.
    pub tenant: Option<String>,
}

/// What a client shows for tokens.
#[derive(Debug, Clone)]
pub enum AskedGrant {
    /// A login name as typed, and a secret: password or PIN.
    Password {
        /// The login name.
        user: String,
        /// The secret.
        secret: Secret,
    },
    /// The second call after a challenge: both come again, with the code.
    Continue {
        /// The login name.
        user: String,
        /// The secret.
        secret: Secret,
    },
    /// A refresh token.
    Refresh(Secret),
    /// A grant that this endpoint does not have, by its name.
    Unsupported(String),
}

/// A request that a token endpoint does not understand: an error of RFC 6749 §5.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct BadTokenCall {
    /// 400 or 415.
    pub status: u16,
    /// The error's code.
    pub error: &'static str,
    /// Its description, ASCII; never holds what was sent.
    pub why: &'static str,
}

impl From<BadShape> for BadTokenCall {
    fn from(bad: BadShape) -> Self {
        Self { status: bad.status, error: "invalid_request", why: bad.why }
    }
}

/// The values may be secret: `Debug` shows the names of what is carried.
impl fmt::Debug for ReadToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let carried: Vec<&str> = self.carried.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("ReadToken")
            .field("grant", &self.grant)
            .field("client", &self.client)
            .field("carried", &carried)
            .field("tenant", &self.tenant)
            .finish()
    }
}

type Pairs = Vec<(String, String)>;

/// No client has more; each is compared with every field that is known.
const MOST_FIELDS: usize = 100;

impl TokenEndpoint {
    /// Reads a request of a client. Its fields stand in one place: the body, or the query where
    /// there is no body. What one reader could take for a field and another not is refused.
    pub fn read(&self, call: &TokenCall<'_>) -> Result<ReadToken, BadTokenCall> {
        let query = parse_form(call.query.unwrap_or_default().as_bytes())?;
        let body = self.body(call)?;
        if query.len() + body.as_ref().map_or(0, Vec::len) > MOST_FIELDS {
            return Err(bad("there are too many fields").into());
        }
        let (fields, beside) = match body {
            Some(body) => (body, query),
            None => (query, Pairs::new()),
        };
        for field in self.fields.all() {
            let here = |name: &str| field.matches(name) && name != field.name();
            if fields.iter().any(|(name, _)| here(name)) {
                return Err(bad("a field's name is misspelt").into());
            }
            if beside.iter().any(|(name, _)| field.matches(name)) {
                return Err(bad("a field stands in the query although there is a body").into());
            }
        }
        let value = |field: &str| only(&fields, field);
        let required = |field: &str, why| {
            let given = value(field)?.filter(|value| !value.is_empty());
            given.ok_or(bad(why)).map_err(BadTokenCall::from)
        };
        let user = || required(self.fields.username.name(), "the user name is missing");
        let secret = || {
            let secret = required(self.fields.password.name(), "the password is missing")?;
            Ok::<_, BadTokenCall>(Secret::new(secret))
        };
        let grant = match self.asked_grant(value(self.fields.grant_type.name())?)? {
            Ok(Grant::Password) => AskedGrant::Password { user: user()?, secret: secret()? },
            Ok(Grant::Mfa) => AskedGrant::Continue { user: user()?, secret: secret()? },
            Ok(Grant::RefreshToken) => {
                let token = self.fields.refresh_token.name();
                AskedGrant::Refresh(Secret::new(required(token, "the refresh token is missing")?))
            }
            Err(other) => AskedGrant::Unsupported(other),
        };
        let tenant = match &self.fields.tenant {
            Some(tenant) => value(tenant.name())?.filter(|tenant| !tenant.trim().is_empty()),
            None => None,
        };
        let client = client(
            value(self.fields.client_id.name())?,
            value(self.fields.client_secret.name())?,
            basic(call.headers)?,
        )?;
        let mut carried = Pairs::new();
        for name in &self.carried {
            match (value(name)?, only(&beside, name)?) {
                (Some(_), Some(_)) => return Err(bad("a field is sent twice").into()),
                (Some(value), None) | (None, Some(value)) => carried.push((name.clone(), value)),
                (None, None) => {}
            }
        }
        Ok(ReadToken { grant, client, carried, tenant })
    }

    /// The fields of the body; `None`: there is none, and the query has the fields.
    fn body(&self, call: &TokenCall<'_>) -> Result<Option<Pairs>, BadTokenCall> {
        if is_compressed(call.headers)? {
            return Err(bad("the body is compressed").into());
        }
        if call.body.is_empty() {
            return Ok(None);
        }
        if call.method == "GET" {
            return Err(bad("a GET request has no body").into());
        }
        let unknown = |why| BadTokenCall::from(BadShape { status: 415, why });
        let media_type = MediaType::of(call.headers)?;
        let media_type = media_type.ok_or(unknown("the body's media type is not given"))?;
        if !media_type.is_utf8() {
            return Err(bad("the body's character set is not UTF-8").into());
        }
        let fields = if media_type.is(FORM) {
            parse_form(call.body)
        } else if media_type.is(JSON) {
            self.json_fields(call.body)
        } else if media_type.is(MULTIPART) {
            let boundary = media_type.boundary();
            boundary
                .ok_or(bad("the multipart form has no clear boundary"))
                .and_then(|boundary| parse_multipart(call.body, boundary))
        } else {
            return Err(unknown("the body is neither a form nor JSON"));
        };
        Ok(Some(fields?))
    }

    /// The members of a JSON object. Ours are texts; what is carried may be a number or a truth
    /// value, too. Other members are nobody's business.
    fn json_fields(&self, body: &[u8]) -> Result<Pairs, BadShape> {
        let Value::Object(members) = parse_json(body)? else {
            return Err(bad("the body is no JSON object"));
        };
        let mut fields = Pairs::new();
        for (name, value) in members {
            let value = match value {
                Value::Null => continue,
                Value::String(text) => text,
                other => {
                    let ours = self.fields.all().any(|field| field.matches(&name));
                    let carried = self.carried.contains(&name);
                    match other {
                        _ if ours => return Err(bad("a field is not a text")),
                        Value::Number(number) if carried => number.to_string(),
                        Value::Bool(truth) if carried => truth.to_string(),
                        _ if carried => return Err(bad("a field is neither text nor number")),
                        _ => continue,
                    }
                }
            };
            fields.push((name, value));
        }
        Ok(fields)
    }

    /// `Err` within: one that this endpoint does not have.
    fn asked_grant(&self, asked: Option<String>) -> Result<Result<Grant, String>, BadShape> {
        let Some(asked) = asked.filter(|asked| !asked.is_empty()) else {
            return self.default_grant.map(Ok).ok_or(bad("grant_type is missing"));
        };
        // Anything else is no name of a grant, and may be a credential that slipped in here.
        let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:/".contains(&byte);
        if asked.len() > 100 || !asked.bytes().all(sound) {
            return Err(bad("grant_type cannot be read"));
        }
        let known = Grant::ALL.into_iter().find(|grant| grant.name() == asked);
        Ok(known.filter(|grant| self.grants.contains(grant)).ok_or(asked))
    }
}

/// The client by its fields, by HTTP Basic, or by both if they agree.
fn client(
    id: Option<String>,
    secret: Option<String>,
    basic: Option<(String, String)>,
) -> Result<Option<ClientCredentials>, BadShape> {
    let id = id.filter(|id| !id.is_empty());
    let Some((basic_id, basic_secret)) = basic else {
        return match (id, secret) {
            (None, Some(secret)) if !secret.is_empty() => Err(bad("client_id is missing")),
            (None, _) => Ok(None),
            (Some(id), secret) => {
                let secret = Secret::new(secret.unwrap_or_default());
                Ok(Some(ClientCredentials { id, secret }))
            }
        };
    };
    let client = ClientCredentials { id: clean(basic_id)?, secret: Secret::new(basic_secret) };
    // Some libraries repeat the id, or both, in the body.
    let repeated = ClientCredentials {
        id: id.unwrap_or_else(|| client.id.clone()),
        secret: secret.map_or_else(|| client.secret.clone(), Secret::new),
    };
    if !client.same_as(&repeated) {
        return Err(bad("the client's credentials in fields and in HTTP Basic differ"));
    }
    Ok(Some(client))
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
