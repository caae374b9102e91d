//! The login request that goes to the PBX: rebuilt from the profile, never the browser's bytes.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use form_urlencoded::Serializer;
use serde_json::{Map, Value};

use super::login_form::LoginPage;
use crate::domain::jar::Jar;
use crate::profile::{Carrier, Csrf, HiddenFields, LoginEndpoint};

/// What is put into a login.
pub(super) struct Credentials<'a> {
    pub(super) user: &'a str,
    pub(super) secret: &'a str,
    pub(super) tenant: &'a str,
    pub(super) carried: &'a [(String, String)],
}

/// A login, ready to be sent. No `Debug`: it holds the secret.
pub(super) struct LoginRequest {
    /// Path and query.
    pub(super) target: String,
    /// Further headers.
    pub(super) headers: Vec<(String, String)>,
    /// Media type and body, where there is one.
    pub(super) body: Option<(&'static str, String)>,
}

/// Builds the request. `Err` says what the login page lacks.
pub(super) fn build(
    endpoint: &LoginEndpoint,
    page: &LoginPage,
    cookies: &Jar,
    credentials: &Credentials<'_>,
) -> Result<LoginRequest, String> {
    let mut headers = Vec::new();
    let mut query = Serializer::new(String::new());
    let mut form: Vec<(&str, &str)> = Vec::new();
    let mut json = Value::Object(Map::new());
    let (mut has_form, mut has_json, mut basic) = (false, false, (None, None));
    let values = [
        Some((&endpoint.user, credentials.user)),
        Some((&endpoint.secret, credentials.secret)),
        endpoint.tenant.as_ref().map(|tenant| (tenant, credentials.tenant)),
    ];
    for (carrier, value) in values.into_iter().flatten() {
        match carrier {
            Carrier::Form(name) => {
                has_form = true;
                form.push((name, value));
            }
            Carrier::Json(pointer) => {
                has_json = true;
                put(&mut json, pointer, value);
            }
            Carrier::Query(name) => {
                query.append_pair(name, value);
            }
            Carrier::BasicUser => basic.0 = Some(value),
            Carrier::BasicPassword => basic.1 = Some(value),
            Carrier::Header(name) => headers.push((name.clone(), value.to_owned())),
        }
    }
    if let (Some(user), Some(password)) = basic {
        let pair = BASE64_STANDARD.encode(format!("{user}:{password}"));
        headers.push(("authorization".to_owned(), format!("Basic {pair}")));
    }
    headers.extend(csrf_header(endpoint, page, cookies)?);
    let body = if has_json {
        Some(("application/json", json.to_string()))
    } else if has_form {
        let body = form_body(endpoint, page, credentials, &form)?;
        Some(("application/x-www-form-urlencoded", body))
    } else {
        None
    };
    let path = endpoint.paths().next().unwrap_or_default();
    let query = query.finish();
    let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    Ok(LoginRequest { target, headers, body })
}

/// The form: hidden inputs first, what identifies the user last, so that a PBX which takes the
/// last of two equal names takes ours.
fn form_body(
    endpoint: &LoginEndpoint,
    page: &LoginPage,
    credentials: &Credentials<'_>,
    own: &[(&str, &str)],
) -> Result<String, String> {
    let hidden: Vec<&(String, String)> = match (&endpoint.hidden, &page.hidden) {
        (HiddenFields::Named(names), _) if names.is_empty() => Vec::new(),
        (_, None) => return Err("the login page has no form with the user-name field".to_owned()),
        (HiddenFields::All, Some(hidden)) => hidden.iter().collect(),
        (HiddenFields::Named(names), Some(hidden)) => {
            if let Some(missing) = names.iter().find(|name| !hidden.iter().any(|(n, _)| n == *name))
            {
                return Err(format!("the login form has no hidden field `{missing}`"));
            }
            hidden.iter().filter(|(name, _)| names.contains(name)).collect()
        }
    };
    let carried = credentials.carried.iter().filter(|(name, _)| endpoint.carried.contains(name));
    let carried: Vec<&(String, String)> = carried.collect();
    let replaced = |name: &str| {
        own.iter().any(|(known, _)| *known == name)
            || carried.iter().any(|(known, _)| known == name)
            || endpoint.fixed.iter().any(|(known, _)| known == name)
    };
    let mut body = Serializer::new(String::new());
    for (name, value) in hidden.into_iter().filter(|(name, _)| !replaced(name)) {
        body.append_pair(name, value);
    }
    for (name, value) in endpoint.fixed.iter().chain(carried.iter().copied()) {
        body.append_pair(name, value);
    }
    body.extend_pairs(own);
    Ok(body.finish())
}

fn csrf_header(
    endpoint: &LoginEndpoint,
    page: &LoginPage,
    cookies: &Jar,
) -> Result<Option<(String, String)>, String> {
    match &endpoint.csrf {
        None => Ok(None),
        Some(Csrf::Meta { name, header }) => {
            let token = page.meta.clone();
            let token = token.ok_or_else(|| format!("the login page has no meta `{name}`"))?;
            Ok(Some((header.clone(), token)))
        }
        Some(Csrf::Cookie { name, header }) => {
            let token = cookies.value(name);
            let token = token.ok_or_else(|| format!("the login page sets no cookie `{name}`"))?;
            let token = percent_encoding::percent_decode_str(token).decode_utf8_lossy();
            Ok(Some((header.clone(), token.into_owned())))
        }
    }
}

/// Sets a place of a JSON object (RFC 6901), making the objects on the way.
fn put(json: &mut Value, pointer: &str, value: &str) {
    let mut place = json;
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        place = &mut place[step];
    }
    *place = value.into();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;

    const WHO: Credentials<'_> =
        Credentials { user: "1001@a.b", secret: "+&=%;é 1", tenant: "a.b", carried: &[] };

    fn page(hidden: &[(&str, &str)]) -> LoginPage {
        let hidden = hidden.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        LoginPage { hidden: Some(hidden.collect()), meta: Some("m&m".into()) }
    }

    fn build_with(changes: &[(&str, &str)], page: &LoginPage) -> Result<LoginRequest, String> {
        let mut text = Profile::builtin("generic").unwrap().to_owned();
        for (from, to) in changes {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        }
        let profile = Profile::parse(&text, "x.toml").unwrap();
        let mut cookies = Jar::new();
        cookies.take("XSRF=a%3Db");
        build(profile.primary_login(), page, &cookies, &WHO)
    }

    fn body(request: &LoginRequest) -> Vec<(String, String)> {
        let (_, body) = request.body.as_ref().unwrap();
        form_urlencoded::parse(body.as_bytes()).into_owned().collect()
    }

    /// Every character of a PIN or token arrives as it is; the user's fields cannot be shadowed.
    #[test]
    fn forms_are_rebuilt() {
        let page = page(&[("a b", "&="), ("password", "9999"), ("t", "1")]);
        let request = build_with(&[], &page).unwrap();
        let expected =
            [("a b", "&="), ("t", "1"), ("username", "1001@a.b"), ("password", "+&=%;é 1")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(body(&request), expected);
        assert_eq!(request.target, "/login");
        let named = build_with(&[("hidden = \"all\"", "hidden = [\"t\"]")], &page).unwrap();
        assert_eq!(body(&named).len(), 3);
        assert!(build_with(&[("hidden = \"all\"", "hidden = [\"u\"]")], &page).is_err());
        assert!(build_with(&[], &LoginPage::default()).is_err());
        assert!(
            build_with(&[("hidden = \"all\"", "hidden = \"none\"")], &LoginPage::default()).is_ok()
        );
    }

    #[test]
    fn tokens_go_into_headers() {
        for (csrf, token) in [("meta = \"m\"", "m&m"), ("cookie = \"XSRF\"", "a=b")] {
            let csrf = format!("hidden = \"all\"\ncsrf = {{ {csrf}, header = \"X-Token\" }}");
            let request = build_with(&[("hidden = \"all\"", &csrf)], &page(&[])).unwrap();
            assert_eq!(request.headers, [("x-token".to_owned(), token.to_owned())]);
        }
        let csrf = "hidden = \"all\"\ncsrf = { cookie = \"other\", header = \"X-Token\" }";
        assert!(build_with(&[("hidden = \"all\"", csrf)], &page(&[])).is_err());
    }

    #[test]
    fn json_and_basic_logins_are_built() {
        let json = [("form:username", "json:/Username"), ("form:password", "json:/auth/a~1b")];
        let request = build_with(&json, &LoginPage::default()).unwrap();
        let (media, body) = request.body.unwrap();
        let value: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(media, "application/json");
        assert_eq!(value, serde_json::json!({"Username": "1001@a.b", "auth": {"a/b": "+&=%;é 1"}}));
        let basic = [("form:username", "basic:user"), ("form:password", "basic:password")];
        let request = build_with(&basic, &LoginPage::default()).unwrap();
        let encoded = BASE64_STANDARD.encode("1001@a.b:+&=%;é 1");
        assert_eq!(request.headers, [("authorization".to_owned(), format!("Basic {encoded}"))]);
        assert!(request.body.is_none());
    }
}
