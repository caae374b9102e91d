//! Which requests for tokens are read, and which are refused.

use std::sync::LazyLock;

use super::*;
use crate::profile::{PathClass, Profile};

const ENDPOINTS: [&str; 4] = ["oauth2", "netsapiensJs", "v2-tokens", "v2-jwt"];
const FORM_TYPE: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const JSON_TYPE: (&str, &str) = ("content-type", "application/json");
/// officevoice-app:0ff1ce-v01ce
const BASIC: (&str, &str) = ("authorization", "Basic b2ZmaWNldm9pY2UtYXBwOjBmZjFjZS12MDFjZQ==");

fn profile() -> &'static Profile {
    static PROFILE: LazyLock<Profile> = LazyLock::new(|| {
        Profile::parse(Profile::builtin("netsapiens").unwrap(), "netsapiens").unwrap()
    });
    &PROFILE
}

fn read(
    endpoint: &str,
    (method, headers): (&str, &[(&str, &str)]),
    query: Option<&str>,
    body: &str,
) -> Result<ReadToken, BadTokenCall> {
    let profile = profile();
    let endpoint = profile.token_endpoint(endpoint).unwrap();
    endpoint.read(&TokenCall { method, headers, query, body: body.as_bytes() })
}

fn form(body: &str) -> Result<ReadToken, BadTokenCall> {
    read("oauth2", ("POST", &[FORM_TYPE]), None, body)
}

fn json(body: &str) -> Result<ReadToken, BadTokenCall> {
    read("v2-tokens", ("POST", &[JSON_TYPE]), None, body)
}

fn refusal(read: Result<ReadToken, BadTokenCall>) -> Option<(u16, &'static str)> {
    let bad = read.err()?;
    assert!(bad.why.is_ascii() && !bad.why.contains(['"', '\\']), "{}", bad.why);
    Some((bad.status, bad.error))
}

const FIELDS: [(&str, &str); 6] = [
    ("grant_type", "password"),
    ("client_id", "officevoice-app"),
    ("client_secret", "0ff1ce-v01ce"),
    ("username", "1001@abc.service"),
    ("password", "a b+&=%\"é"),
    ("format", "json"),
];

fn urlencoded(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

fn multipart(fields: &[(&str, &str)]) -> String {
    let part = |(name, value): &(&str, &str)| {
        format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    fields.iter().map(part).collect::<String>() + "--B--\r\n"
}

fn as_json(fields: &[(&str, &str)]) -> String {
    let members = fields.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value)));
    Value::Object(members.collect()).to_string()
}

/// R-F1: every shape of interfaces.md, at every endpoint, with the client in fields or in Basic.
#[test]
fn all_shapes_are_read_at_all_endpoints() {
    let parts = ("content-type", "multipart/form-data; boundary=B");
    let utf8 = ("content-type", "application/json;charset=\"UTF-8\"");
    for endpoint in ENDPOINTS {
        for client_in_basic in [false, true] {
            let sent: Vec<(&str, &str)> = FIELDS
                .into_iter()
                .filter(|(name, _)| !client_in_basic || !name.starts_with("client_"))
                .collect();
            let query = urlencoded(&sent);
            for (method, kind, query, body) in [
                ("POST", Some(FORM_TYPE), None, urlencoded(&sent)),
                ("POST", Some(parts), None, multipart(&sent)),
                ("POST", Some(JSON_TYPE), None, as_json(&sent)),
                ("POST", Some(utf8), None, as_json(&sent)),
                ("POST", None, Some(&query), String::new()),
                // As curl -d '' sends it.
                ("POST", Some(FORM_TYPE), Some(&query), String::new()),
                ("GET", None, Some(&query), String::new()),
            ] {
                let headers: Vec<_> =
                    kind.into_iter().chain(client_in_basic.then_some(BASIC)).collect();
                let read = read(endpoint, (method, &headers), query.map(String::as_str), &body);
                let read = read.unwrap_or_else(|bad| panic!("{endpoint} {kind:?}: {bad}"));
                let AskedGrant::Password { user, secret } = &read.grant else { panic!() };
                assert_eq!((user.as_str(), secret.expose()), (FIELDS[3].1, FIELDS[4].1));
                let client = read.client.as_ref().unwrap();
                assert_eq!(
                    (client.id.as_str(), client.secret.expose()),
                    (FIELDS[1].1, FIELDS[2].1)
                );
                let carries = endpoint == "oauth2";
                assert_eq!(!read.carried.is_empty(), carries, "{endpoint} {:?}", read.carried);
                let printed = format!("{read:?}");
                assert!(!printed.contains("a b") && !printed.contains("0ff1ce"), "{printed}");
            }
        }
    }
}

/// R-F1: the paths with and without a slash, and nothing beside them.
#[test]
fn endpoints_have_exact_paths() {
    let profile = profile();
    for (path, name) in [
        ("/ns-api/oauth2/token", Some("oauth2")),
        ("/ns-api/oauth2/token/", Some("oauth2")),
        ("/ns-api/oauth2/netsapiensJs", Some("netsapiensJs")),
        ("/ns-api/v2/tokens", Some("v2-tokens")),
        ("/ns-api/v2/jwt/", Some("v2-jwt")),
        ("/ns-api/oauth2", None),
        ("/ns-api/oauth2/", None),
        ("/ns-api/oauth2/authorize", None),
        ("/ns-api/oauth2/token.php", None),
        ("/ns-api/oauth2/token/x", None),
        ("/ns-api/oauth2/netsapiensjs", None),
        ("/ns-api/v2/tokens/1", None),
        ("/ns-api/v2/jwt.", None),
    ] {
        for method in ["GET", "POST", "DELETE"] {
            let class = profile.classify(method, path);
            match name {
                Some(name) => {
                    assert!(matches!(class, PathClass::Token(t) if t.name == name), "{path}");
                }
                None => assert_eq!(class, PathClass::Denied, "{method} {path}"),
            }
        }
    }
    let methods = |name: &str| {
        let endpoint = profile.token_endpoint(name).unwrap();
        ["GET", "POST", "DELETE", "PUT"].map(|m| (endpoint.answers_to(m), endpoint.revokes(m)))
    };
    let (yes, no, ends) = ((true, false), (false, false), (false, true));
    assert_eq!(methods("oauth2"), [yes, yes, no, no]);
    assert_eq!(methods("v2-tokens"), [no, yes, no, no]);
    assert_eq!(methods("v2-jwt"), [no, yes, ends, no]);
}

/// R-F1: refresh, the second call after a challenge, and grants that an endpoint does not have.
#[test]
fn grants_are_told_apart() {
    let user = "username=1001&password=48271";
    let grant = |body: &str| form(body).map(|read| read.grant);
    let refresh = grant("grant_type=refresh_token&refresh_token=r1&client_id=a").unwrap();
    assert!(matches!(refresh, AskedGrant::Refresh(token) if token.expose() == "r1"));
    let again = form(&format!("grant_type=mfa&{user}&passcode=246810&mfa_type=totp")).unwrap();
    assert!(matches!(again.grant, AskedGrant::Continue { .. }));
    assert!(!format!("{again:?}").contains("246810"), "a code is a secret");
    let carried = [("passcode", "246810"), ("mfa_type", "totp")];
    assert_eq!(again.carried, carried.map(|(name, value)| (name.to_owned(), value.to_owned())));
    for other in ["client_credentials", "authorization_code", "PASSWORD", "implicit"] {
        let asked = grant(&format!("grant_type={other}&{user}")).unwrap();
        assert!(matches!(asked, AskedGrant::Unsupported(name) if name == other), "{other}");
    }
    // This endpoint is asked by applications that know one grant only.
    let js = |body| read("netsapiensJs", ("POST", &[JSON_TYPE, BASIC]), None, body);
    let login = js(r#"{"username":"1001","password":"48271"}"#).unwrap();
    assert!(matches!(login.grant, AskedGrant::Password { .. }));
    let refresh = js(r#"{"grant_type":"refresh_token","refresh_token":"x"}"#).unwrap();
    assert!(matches!(refresh.grant, AskedGrant::Unsupported(_)));
    for missing in [
        user,
        "grant_type=&username=1001&password=1",
        "grant_type=password&username=1001",
        "grant_type=password&username=&password=1",
        "grant_type=password&username=1001&password=",
        "grant_type=mfa&passcode=1",
        "grant_type=refresh_token",
        "grant_type=%0d%0a%22&username=1001&password=1",
        "grant_type=password;username=1001;password=1",
        "",
    ] {
        assert_eq!(refusal(form(missing)), Some((400, "invalid_request")), "{missing}");
    }
}

const OK: &str = "grant_type=password&username=1001&password=48271&client_id=a&client_secret=b";

/// security.md, bypass by body: no field is in two places, twice, or spelled otherwise.
#[test]
fn ambiguous_fields_are_refused() {
    assert!(form(OK).is_ok());
    assert!(form(&OK.replace("password=4", "p%61ssword=4")).is_ok(), "decoded, it is the field");
    for field in ["password", "username", "grant_type", "client_id", "client_secret"] {
        let capital = field.to_uppercase();
        for extra in [
            format!("{field}=x"),
            format!("p%61ssword=x&{field}=x"),
            format!("{field}[]=x"),
            format!("{field}[0]=x"),
            format!("{field}%5B%5D=x"),
            format!("+{field}=x"),
            format!("%20{field}=x"),
            format!("%09{field}=x"),
            format!("{field}%00=x"),
            format!("{field}%00y=x"),
            format!("{capital}=x"),
        ] {
            let body = format!("{OK}&{extra}");
            assert_eq!(refusal(form(&body)), Some((400, "invalid_request")), "{extra}");
            let beside = read("oauth2", ("POST", &[FORM_TYPE]), Some(&extra), OK);
            assert_eq!(refusal(beside), Some((400, "invalid_request")), "?{extra}");
            for method in ["POST", "GET"] {
                let query = read("oauth2", (method, &[]), Some(&body), "");
                assert_eq!(refusal(query), Some((400, "invalid_request")), "{method} ?{extra}");
            }
            let parts = [FIELDS.as_slice(), &[(field, "x")]].concat();
            let kind = ("content-type", "multipart/form-data; boundary=B");
            let body = multipart(&parts);
            assert!(read("oauth2", ("POST", &[kind]), None, &body).is_err(), "{field}");
        }
        let good = as_json(&FIELDS);
        for member in [field.to_owned(), capital, format!("{field}[]"), format!(" {field}")] {
            let body = good.replacen('{', &format!("{{\"{member}\":\"x\","), 1);
            assert_eq!(refusal(json(&body)), Some((400, "invalid_request")), "{body}");
        }
    }
    for bad in [
        format!("{OK}%00"),
        format!("{OK}%"),
        format!("{OK}%ff"),
        format!("{OK}%c0%b1"),
        format!("{OK}\n"),
        OK.replace('&', ";"),
        format!("{OK}&passcode=1&passcode=2"),
        format!("{OK}{}", "&x=1".repeat(200)),
    ] {
        assert_eq!(refusal(form(&bad)), Some((400, "invalid_request")), "{bad}");
    }
    // What is no credential may stand beside a body, once.
    let query = |query, body| read("oauth2", ("POST", &[FORM_TYPE]), Some(query), body);
    assert_eq!(query("format=json&x=1", OK).unwrap().carried.len(), 1);
    let twice = format!("{OK}&format=xml");
    assert!(query("format=json", &twice).is_err());
    assert!(query("refresh_token=x", OK).is_err());
}

/// security.md, bypass by body: encodings and media types that others would read otherwise.
#[test]
fn other_bodies_are_refused() {
    let with = |headers: &[(&str, &str)]| refusal(read("oauth2", ("POST", headers), None, OK));
    assert_eq!(with(&[]), Some((415, "invalid_request")), "a body without a type");
    for (kind, status) in [
        ("text/plain", 415),
        ("application/xml", 415),
        ("text/json", 415),
        ("application/x-www-form-urlencoded, application/json", 415),
        ("application/x-www-form-urlencoded; charset=utf-16", 400),
        ("application/x-www-form-urlencoded; charset=utf-7", 400),
        ("application/x-www-form-urlencoded; charset=utf-8; charset=utf-16le", 400),
        ("application/json", 400),
        ("multipart/form-data", 400),
        ("multipart/form-data; boundary=\"\"", 400),
        ("multipart/form-data; boundary=a; boundary=b", 400),
    ] {
        assert_eq!(with(&[("content-type", kind)]), Some((status, "invalid_request")), "{kind}");
    }
    assert!(with(&[FORM_TYPE, ("content-encoding", "gzip")]).is_some());
    assert!(with(&[FORM_TYPE, FORM_TYPE]).is_some());
    assert!(refusal(read("oauth2", ("GET", &[FORM_TYPE]), Some(OK), OK)).is_some());
    for body in [
        r#"["password"]"#,
        r#""password""#,
        r#"{"grant_type":"password","username":1001,"password":"1"}"#,
        r#"{"grant_type":"password","username":"1001","password":1}"#,
        r#"{"grant_type":"password","username":"1001","password":["1"]}"#,
        r#"{"grant_type":"password","username":"1001","password":{"$ne":""}}"#,
        r#"{"grant_type":"password","username":"1001","password":null}"#,
        r#"{"grant_type":"password","username":"1001","password":"1\u0000"}"#,
        r#"{"grant_type":"password","username":"1001","password":"1","scope":[]}"#,
        r#"{"grant_type":"password","username":"1001","password":"1"} x"#,
    ] {
        assert_eq!(refusal(json(body)), Some((400, "invalid_request")), "{body}");
    }
    let code =
        r#"{"grant_type":"mfa","username":"a","password":"1","passcode":246810,"x":{"y":1}}"#;
    assert_eq!(json(code).unwrap().carried, [("passcode".to_owned(), "246810".to_owned())]);
}

/// R-F1: client credentials in two places must be the same ones.
#[test]
fn the_client_is_one() {
    let with = |fields: &str| {
        let body = format!("grant_type=password&username=1001&password=1{fields}");
        read("oauth2", ("POST", &[FORM_TYPE, BASIC]), None, &body).map(|read| read.client.unwrap())
    };
    for same in
        ["", "&client_id=officevoice-app", "&client_id=officevoice-app&client_secret=0ff1ce-v01ce"]
    {
        let client = with(same).unwrap();
        assert_eq!((client.id.as_str(), client.secret.expose()), (FIELDS[1].1, FIELDS[2].1));
    }
    for other in
        ["&client_id=other", "&client_secret=other", "&client_id=officevoice-app&client_secret="]
    {
        assert_eq!(refusal(with(other).map(|_| unreachable!())), Some((400, "invalid_request")));
    }
    let alone = |fields: &str| form(&format!("grant_type=password&username=a&password=1{fields}"));
    assert!(alone("").unwrap().client.is_none());
    assert!(alone("&client_id=public").unwrap().client.unwrap().secret.is_empty());
    assert!(alone("&client_secret=x").is_err());
    for broken in ["Basic", "Basic !", "Basic b2ZmaWNl", "Basic AAA6AA=="] {
        let headers = [FORM_TYPE, ("authorization", broken)];
        assert!(read("oauth2", ("POST", &headers), None, OK).is_err(), "{broken}");
    }
}

/// A profile may name the fields otherwise, and have one for the tenant.
#[test]
fn fields_by_other_names() {
    let text = Profile::builtin("generic").unwrap().replace(
        "paths = [\"/oauth/token\", \"/oauth/token/\"]",
        "paths = [\"/oauth/token\"]\n\
         fields = { username = \"data[user]\", password = \"pin\", tenant = \"realm\" }",
    );
    let profile = Profile::parse(&text, "other.toml").unwrap();
    let read = |body: &str| {
        profile.token_endpoint("oauth").unwrap().read(&TokenCall {
            method: "POST",
            headers: &[FORM_TYPE],
            query: None,
            body: body.as_bytes(),
        })
    };
    let found =
        read("grant_type=password&data[user]=1001&pin=48271&realm=acme&password=x").unwrap();
    assert_eq!(found.tenant.as_deref(), Some("acme"));
    assert!(
        matches!(found.grant, AskedGrant::Password { secret, .. } if secret.expose() == "48271")
    );
    assert!(read("grant_type=password&username=1001&password=48271").is_err());
    assert!(read("grant_type=password&data[user]=1&pin=4&data[User][]=2").is_err());
}
