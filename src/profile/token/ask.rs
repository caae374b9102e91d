//! Asking for tokens in the endpoint's one shape, built anew from fields.

use form_urlencoded::Serializer;
use serde_json::{Map, Value};

use super::{Grant, TokenEndpoint};
use crate::domain::api_client::ClientCredentials;
use crate::domain::secret::Secret;
use crate::profile::request_body::{FORM, JSON};

/// What is shown to the PBX for tokens.
#[derive(Debug, Clone, Copy)]
pub enum Shown<'a> {
    /// A login name as the PBX wants it, and the legacy credential.
    Password {
        /// The login name.
        user: &'a str,
        /// The PIN.
        pin: &'a Secret,
        /// Whether it is the second call after a challenge.
        continued: bool,
    },
    /// A refresh token of the PBX.
    Refresh(&'a Secret),
}

/// A request to the PBX. It is posted to the first of the endpoint's paths.
#[derive(Debug, Clone)]
pub struct TokenAsk {
    /// Media type of the body.
    pub media_type: &'static str,
    /// The body.
    pub body: Secret,
    /// The client, where the endpoint wants it in HTTP Basic.
    pub basic: Option<ClientCredentials>,
}

impl TokenEndpoint {
    /// Builds the request.
    pub fn ask(
        &self,
        shown: Shown<'_>,
        client: Option<&ClientCredentials>,
        carried: &[(String, String)],
    ) -> TokenAsk {
        let names = &self.fields;
        let mut fields: Vec<(&str, &str)> = Vec::new();
        let grant = match shown {
            Shown::Password { continued: true, .. } => Grant::Mfa,
            Shown::Password { .. } => Grant::Password,
            Shown::Refresh(_) => Grant::RefreshToken,
        };
        fields.push((names.grant_type.name(), grant.name()));
        let (in_basic, in_fields) =
            if self.client_in_basic { (client, None) } else { (None, client) };
        if let Some(client) = in_fields {
            fields.push((names.client_id.name(), &client.id));
            if !client.secret.is_empty() {
                fields.push((names.client_secret.name(), client.secret.expose()));
            }
        }
        match shown {
            Shown::Password { user, pin, .. } => {
                fields.push((names.username.name(), user));
                fields.push((names.password.name(), pin.expose()));
            }
            Shown::Refresh(token) => fields.push((names.refresh_token.name(), token.expose())),
        }
        let known = carried.iter().filter(|(name, _)| self.carried.contains(name));
        fields.extend(known.map(|(name, value)| (name.as_str(), value.as_str())));
        let (media_type, body) = if self.json {
            let members =
                fields.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value)));
            (JSON, Value::Object(members.collect::<Map<_, _>>()).to_string())
        } else {
            let mut form = Serializer::new(String::new());
            form.extend_pairs(fields);
            (FORM, form.finish())
        };
        TokenAsk { media_type, body: Secret::new(body), basic: in_basic.cloned() }
    }
}
