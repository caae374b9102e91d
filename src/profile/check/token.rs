//! Checks `[[token]]` and `[[whoami]]`.

use toml::Spanned;

use super::{Checker, start};
use crate::profile::credentials::CredentialField;
use crate::profile::judge::JsonCondition;
use crate::profile::raw::{RawJson, RawToken, RawTokenBody, RawWhoAmI, Text};
use crate::profile::subscriber::Place as Filled;
use crate::profile::token::{OwnerPlaces, Place, TokenEndpoint, TokenFields, TokenPlaces, WhoAmI};

impl Checker<'_> {
    pub(super) fn tokens(&mut self, raw: &[RawToken]) -> Vec<TokenEndpoint> {
        for (index, token) in raw.iter().enumerate() {
            let name = token.name.get_ref();
            if raw[..index].iter().any(|known| known.name.get_ref() == name) {
                let message = format!("there are two token endpoints `{name}`");
                self.0.add(start(&token.name), message, "each needs a name of its own");
            }
        }
        raw.iter().map(|token| self.token(token)).collect()
    }

    fn token(&mut self, raw: &RawToken) -> TokenEndpoint {
        let name = raw.name.get_ref();
        let at = start(&raw.name);
        let paths: Vec<String> = raw.paths.iter().map(|path| self.path(path)).collect();
        for path in raw.paths.iter().filter(|path| path.get_ref().contains('*')) {
            let hint = "name it with and without a slash at the end; what lies beside it: guard";
            self.0.add(start(path), "the paths of a token endpoint are exact", hint);
        }
        if paths.is_empty() {
            self.0.add(at, format!("token endpoint `{name}` needs a path"), "");
        }
        let methods: Vec<String> = raw.methods.iter().map(|method| self.method(method)).collect();
        if !methods.iter().any(|method| method == "POST") {
            let hint = "Passgate itself asks by POST, whatever its clients do";
            self.0.add(at, format!("token endpoint `{name}` must answer to POST"), hint);
        }
        let revoke: Vec<String> = raw.revoke_methods.iter().map(|m| self.method(m)).collect();
        if let Some(both) = revoke.iter().find(|method| methods.contains(method)) {
            let message = format!("`{both}` cannot both give and end a token");
            self.0.add(at, message, "take it from methods or from revoke_methods");
        }
        if raw.grants.is_empty() {
            self.0.add(at, format!("token endpoint `{name}` has no grant"), "");
        }
        if let Some(grant) = &raw.default_grant
            && !raw.grants.contains(grant.get_ref())
        {
            self.0.add(start(grant), "default_grant is none of grants", "");
        }
        let fields = self.token_fields(at, raw);
        for carried in &raw.carried {
            if fields.all().any(|field| field.matches(carried.get_ref())) {
                let message = format!("`{}` is put in by Passgate", carried.get_ref());
                self.0.add(start(carried), message, "take it from carried");
            }
        }
        let owner = self.owner(
            at,
            (raw.owner_user.as_ref(), raw.owner_tenant.as_ref(), raw.owner_login.as_ref()),
            ("owner_user", "owner_tenant", "owner_login"),
            true,
        );
        TokenEndpoint {
            name: name.clone(),
            paths,
            methods,
            revoke_methods: revoke,
            json: raw.body == RawTokenBody::Json,
            client_in_basic: raw.client_in_basic,
            fields,
            grants: raw.grants.clone(),
            default_grant: raw.default_grant.as_ref().map(|grant| *grant.get_ref()),
            carried: raw.carried.iter().map(|name| name.get_ref().clone()).collect(),
            places: TokenPlaces {
                access: self.pointer(&raw.access),
                refresh: self.pointer(&raw.refresh),
                expires_in: self.pointer(&raw.expires_in),
                owner,
            },
            challenge: raw.challenge.iter().map(|json| self.json_condition(json)).collect(),
            refused: raw.refused.iter().filter_map(|sign| self.sign(sign)).collect(),
        }
    }

    fn token_fields(&mut self, at: Option<usize>, raw: &RawToken) -> TokenFields {
        let raw = &raw.fields;
        let named = |given: Option<&Text>, usual: &str| {
            CredentialField::new(given.map_or(usual, |name| name.get_ref()), false)
        };
        let fields = TokenFields {
            grant_type: named(raw.grant_type.as_ref(), "grant_type"),
            client_id: named(raw.client_id.as_ref(), "client_id"),
            client_secret: named(raw.client_secret.as_ref(), "client_secret"),
            username: named(raw.username.as_ref(), "username"),
            password: named(raw.password.as_ref(), "password"),
            refresh_token: named(raw.refresh_token.as_ref(), "refresh_token"),
            tenant: raw.tenant.as_ref().map(|name| named(Some(name), "")),
        };
        let names: Vec<&str> = fields.all().map(CredentialField::name).collect();
        let doubled = names.iter().enumerate().find(|(index, name)| names[..*index].contains(name));
        if let Some((_, name)) = doubled {
            self.0.add(at, format!("two fields are called `{name}`"), "");
        }
        if names.iter().any(|name| name.is_empty()) {
            self.0.add(at, "a field needs a name", "");
        }
        fields
    }

    /// `in_claims`: whether `jwt:/…` is a place here.
    fn owner(
        &mut self,
        at: Option<usize>,
        (user, tenant, login): (Option<&Text>, Option<&Text>, Option<&Text>),
        (user_key, tenant_key, login_key): (&str, &str, &str),
        in_claims: bool,
    ) -> Option<OwnerPlaces> {
        let mut place = |raw: &Text| match raw.get_ref().strip_prefix("jwt:") {
            Some(claim) if in_claims => {
                if !claim.starts_with('/') {
                    self.0.add(start(raw), "a JSON pointer begins with `/`", "");
                }
                Place::Claim(claim.to_owned())
            }
            _ => Place::Answer(self.pointer(raw)),
        };
        match (user, tenant, login) {
            (None, None, None) => None,
            (Some(user), Some(tenant), None) => {
                Some(OwnerPlaces::Parts { user: place(user), tenant: place(tenant) })
            }
            (None, None, Some(login)) => Some(OwnerPlaces::Login(place(login))),
            _ => {
                let message = format!(
                    "a user is named by {user_key} and {tenant_key} together, or by {login_key}"
                );
                self.0.add(at, message, "");
                None
            }
        }
    }

    pub(super) fn who_am_i(&mut self, raw: &Spanned<RawWhoAmI>) -> Option<WhoAmI> {
        let (at, raw) = (start(raw), raw.get_ref());
        let call = self.call(
            at,
            (raw.method.as_ref(), &raw.path),
            (raw.form.as_ref(), raw.json.as_ref()),
        )?;
        let filled = [Filled::Extension, Filled::Tenant, Filled::Login, Filled::Pin];
        if filled.into_iter().any(|place| call.has(place)) {
            let hint = "ask for the user of the token, as in /users/~";
            self.0.add(at, "whoami cannot name the user that it asks for", hint);
        }
        let places = (raw.user.as_ref(), raw.tenant.as_ref(), raw.login.as_ref());
        if let (None, None, None) = places {
            let hint = "user = \"/user\" and tenant = \"/domain\", or login = \"/login\"";
            self.0.add(at, "whoami does not say where the answer names the user", hint);
        }
        let owner = self.owner(at, places, ("user", "tenant", "login"), false)?;
        Some(WhoAmI { call, owner })
    }

    pub(super) fn json_condition(&mut self, raw: &RawJson) -> JsonCondition {
        JsonCondition { pointer: self.pointer(&raw.pointer), equals: raw.equals.clone() }
    }

    pub(super) fn pointer(&mut self, raw: &Text) -> String {
        if !raw.get_ref().starts_with('/') {
            self.0.add(start(raw), "a JSON pointer begins with `/`", "");
        }
        raw.get_ref().clone()
    }
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
