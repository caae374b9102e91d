//! Which login requests are read, and which are refused.

use super::*;
use crate::profile::{FirstResponse, Judgement, Profile};

const FORM_TYPE: &str = "application/x-www-form-urlencoded";

fn profile(name: &str) -> Profile {
    Profile::parse(Profile::builtin(name).unwrap(), name).unwrap()
}

fn read(headers: &[(&str, &str)], query: Option<&str>, body: &[u8]) -> Result<ReadLogin, BadShape> {
    let profile = profile("netsapiens");
    profile.read_login(profile.primary_login(), &LoginRequest { headers, query, body })
}

fn form(body: &str) -> Result<ReadLogin, BadShape> {
    read(&[("content-type", FORM_TYPE)], None, body.as_bytes())
}

const USER: &str = "data%5BLogin%5D%5Busername%5D=1001%40abc.service";
const PIN: &str = "data%5BLogin%5D%5Bpassword%5D=1234";

/// R-C1: the portal's own form is read, as browsers and scripts send it.
#[test]
fn the_profiles_shape_is_read() {
    for body in [
        format!("{USER}&{PIN}"),
        format!("_method=POST&{PIN}&x=1&{USER}&data%5B_Token%5D%5Bkey%5D=a"),
        "data[Login][username]=1001@abc.service&data[Login][password]=1234".to_owned(),
    ] {
        let login = form(&body).unwrap();
        assert_eq!(login.user, "1001@abc.service");
        assert_eq!(login.secret.expose(), "1234");
        assert!(login.carried.is_empty() && login.tenant.is_none());
        assert!(!format!("{login:?}").contains("1234"));
    }
    let login = form(&format!("{USER}&{PIN}&data[Login][language]=es")).unwrap();
    assert_eq!(login.carried, [("data[Login][language]".to_owned(), "es".to_owned())]);
    for media in [
        "application/x-www-form-urlencoded; charset=UTF-8",
        "Application/X-WWW-Form-Urlencoded;charset=\"utf-8\"",
    ] {
        let body = format!("{USER}&data[Login][password]=%2B%26%3D%25+%C3%A9");
        let login = read(&[("content-type", media)], Some("next=/portal/x"), body.as_bytes());
        assert_eq!(login.unwrap().secret.expose(), "+&=% é");
    }
}

/// security.md, bypass by body: only the profile's shape passes.
#[test]
fn every_other_shape_is_refused() {
    let ok = format!("{USER}&{PIN}");
    for body in [
        USER.to_owned(),
        PIN.to_owned(),
        String::new(),
        format!("{ok}&{PIN}"),
        format!("{ok}&{USER}"),
        format!("{ok}&data[Login][password][]=1"),
        format!("{ok}&+data[Login][password]=1"),
        format!("{ok}&data[Login][password]%00=1"),
        format!("{ok}&DATA[login][password]=1"),
        format!("{USER}&data[Login][password][]=1234"),
        format!("{USER}&%20data[Login][password]=1234"),
        format!("{USER};{PIN}"),
        format!("{USER}&{PIN}%00"),
        format!("{USER}&{PIN}%ff"),
        format!("{USER}&{PIN}%"),
        format!("{USER}&{PIN}%zz"),
        format!("{USER}&{PIN}%c0%b1"),
        format!("{USER}&\n{PIN}"),
        format!("{{\"{USER}\":1}}"),
    ] {
        assert_eq!(form(&body).map(|_| ()).map_err(|bad| bad.status), Err(400), "{body:?}");
    }
    for (media, expected) in [
        ("multipart/form-data; boundary=x", 415),
        ("application/json", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded; charset=utf-16", 415),
        ("application/x-www-form-urlencoded; charset=utf-7", 415),
        ("application/x-www-form-urlencoded, text/plain", 415),
    ] {
        let answer = read(&[("content-type", media)], None, ok.as_bytes());
        assert_eq!(answer.map(|_| ()).map_err(|bad| bad.status), Err(expected), "{media}");
    }
    let typed = ("content-type", FORM_TYPE);
    for headers in [vec![], vec![typed, typed], vec![typed, ("content-encoding", "gzip")]] {
        assert!(read(&headers, None, ok.as_bytes()).is_err(), "{headers:?}");
    }
    for query in [PIN, "data[Login][username]=x", "+data%5BLogin%5D%5Bpassword%5D[]=1", "%zz=1"] {
        assert!(read(&[typed], Some(query), ok.as_bytes()).is_err(), "{query}");
        assert!(read(&[typed], Some(query), b"").is_err(), "{query}");
    }
}

fn scripted(user: &str, secret: &str) -> Profile {
    let text = Profile::builtin("generic").unwrap();
    let text = text
        .replace("\"form:username\"", &format!("{user:?}"))
        .replace("\"form:password\"", &format!("{secret:?}"));
    Profile::parse(&text, "scripted.toml").unwrap()
}

/// Contract of profiles: JSON and Basic carriers, as strict as forms.
#[test]
fn json_and_basic_logins() {
    let profile = scripted("json:/Username", "json:/auth/Password");
    let read = |body: &str| {
        let headers = [("content-type", "application/json")];
        let request = LoginRequest { headers: &headers, query: None, body: body.as_bytes() };
        profile.read_login(profile.primary_login(), &request)
    };
    let login =
        read(r#"{"Username":"1001@a","auth":{"Password":"12 \"34"},"x":[1,null]}"#).unwrap();
    assert_eq!((login.user.as_str(), login.secret.expose()), ("1001@a", "12 \"34"));
    for bad in [
        r#"{"Username":"a","Username":"b","auth":{"Password":"1"}}"#,
        r#"{"Username":"a","auth":{"Password":"1","password":"2"}}"#,
        r#"{"Username":"a","auth":{"Password":1234}}"#,
        r#"{"Username":["a"],"auth":{"Password":"1"}}"#,
        r#"{"Username":"a","auth":{"Password":"1\u0000"}}"#,
        r#"{"Username":"a"}"#,
        r#"{"Username":"a","auth":{"Password":"1"}} x"#,
    ] {
        assert_eq!(read(bad).map(|_| ()).map_err(|bad| bad.status), Err(400), "{bad}");
    }

    let profile = scripted("basic:user", "basic:password");
    let read = |headers: &[(&str, &str)]| {
        let request = LoginRequest { headers, ..LoginRequest::default() };
        profile.read_login(profile.primary_login(), &request)
    };
    let login = read(&[("authorization", "bAsIc MTAwMUBhOjEyOjM0")]).unwrap();
    assert_eq!((login.user.as_str(), login.secret.expose()), ("1001@a", "12:34"));
    for bad in ["Basic", "Basic !", "Basic MTAwMQ==", "Bearer x", "Basic gIA6gA=="] {
        assert!(read(&[("authorization", bad)]).is_err(), "{bad}");
    }
}

fn judge(name: &str, status: u16, location: Option<&str>, renewed: bool, body: &str) -> Judgement {
    let profile = profile(name);
    let cookies = if renewed { vec!["PHPSESSID".to_owned()] } else { vec![] };
    let first = FirstResponse {
        status,
        location,
        cookies_set: &cookies,
        cookies_changed: &cookies,
        body: body.as_bytes(),
    };
    profile.judge(profile.primary_login(), &first)
}

/// interfaces.md, known portals: NetSapiens refuses by redirect or by the form again.
#[test]
fn netsapiens_answers_are_judged() {
    use Judgement::{Accepted, Challenge, Refused, TokenError, Unknown};
    let form = r#"<form method="post"><input type="password" name="data[Login][password]">"#;
    for (status, location, body, expected) in [
        (302, Some("/portal/home"), "", Accepted),
        (302, Some("/portal/home?x=1"), "", Accepted),
        (302, Some("/portal/login"), "", Refused),
        (302, Some("/portal/login/index"), "", Refused),
        (303, Some("/portal/login?e=1"), "", Refused),
        (200, None, form, Refused),
        (302, Some("/portal/login/mfa/1"), "", Challenge),
        (404, None, "", TokenError),
        (200, None, "<h1>Home</h1>", Unknown),
        (302, Some("/portal/homeless"), "", Unknown),
        (302, Some("https://evil.example/portal/home"), "", Unknown),
        (302, None, "", Unknown),
        (500, None, form, Unknown),
        (429, None, "", Unknown),
    ] {
        assert_eq!(
            judge("netsapiens", status, location, true, body),
            expected,
            "{status} {location:?}"
        );
    }
}

/// interfaces.md, known portals: FusionPBX is judged by place and renewed session together.
#[test]
fn fusionpbx_answers_are_judged() {
    use Judgement::{Accepted, Challenge, Refused, TokenError, Unknown};
    for (status, location, renewed, body, expected) in [
        (302, Some("/core/dashboard/"), true, "", Accepted),
        (302, Some("/core/dashboard/"), false, "", Unknown),
        (302, Some("/?path=%2Flogin.php"), true, "", Refused),
        (302, Some("/login.php"), true, "", TokenError),
        (200, None, true, "<title>Verify - PBX</title>", Challenge),
        (200, None, true, "<title>Login</title>", Unknown),
    ] {
        assert_eq!(judge("fusionpbx", status, location, renewed, body), expected, "{location:?}");
    }
}

/// Script portals answer 200 always: the JSON tells.
#[test]
fn json_answers_are_judged() {
    let text = Profile::builtin("generic").unwrap();
    let (before, after) = text.split_once("[[login.judge]]").unwrap();
    let after = &after[after.find("\n[session]").unwrap()..];
    let text = format!(
        "{before}judge = [\n\
         {{ answer = \"accepted\", status = [200], json = [{{ pointer = \"/status\", equals = true }}] }},\n\
         {{ answer = \"refused\", status = [200], json = [{{ pointer = \"/message\" }}] }},\n]\n{after}"
    );
    let profile = Profile::parse(&text, "ucp.toml").unwrap();
    let judge = |body: &str| {
        let first =
            FirstResponse { status: 200, body: body.as_bytes(), ..FirstResponse::default() };
        profile.judge(profile.primary_login(), &first)
    };
    assert_eq!(judge(r#"{"status":true,"message":"hi"}"#), Judgement::Accepted);
    assert_eq!(judge(r#"{"status":false,"message":"no"}"#), Judgement::Refused);
    assert_eq!(judge(r#"{"status":"true"}"#), Judgement::Unknown);
    assert_eq!(judge("true"), Judgement::Unknown);
}
