//! Whose token is this? Pages of the PBX hand the PBX's own bearer token to their scripts, which
//! call the API in the same origin (R-F5).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, HeaderMap};
use serde_json::Value;

use crate::domain::login_name::LoginName;
use crate::profile::Profile;

/// The bearer token that a request presents (RFC 6750 §2.1), if it presents one.
pub fn of(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// The account that a JWT of the PBX names in its claims; `None` for any other token.
///
/// The signature is the PBX's business: it checks it before it acts. A forged claim gains
/// nothing, because the PBX refuses the token; what matters here is that a *genuine* token of
/// somebody else does not pass with this session.
pub fn owner(token: &str, profile: &Profile) -> Option<LoginName> {
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let tenant = text("domain").or_else(|| text("tenant"));
    let user = text("user").or_else(|| text("sub")).or_else(|| text("login"))?;
    profile.login_name(user, tenant).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    /// R-F5: the bearer's user is read from the JWT's claims, in the profile's spellings.
    #[test]
    fn claims_name_the_account() {
        let text = Profile::builtin("netsapiens").unwrap();
        let profile = Profile::parse(text, "netsapiens.toml").unwrap();
        let expected = LoginName::new("1001", "acme.1.service").unwrap();
        for claims in
            [r#"{"user":"1001","domain":"acme.1.service"}"#, r#"{"sub":"1001@ACME.1.service"}"#]
        {
            assert_eq!(owner(&jwt(claims), &profile).as_ref(), Some(&expected), "{claims}");
        }
        for other in
            [jwt("{}"), jwt("[]"), "32hex".into(), "a.b".into(), format!("{}.x", jwt("{}"))]
        {
            assert_eq!(owner(&other, &profile), None, "{other}");
        }
    }
}
