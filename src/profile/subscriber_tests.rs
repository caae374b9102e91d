//! `[subscriber]`: what is sent, what the answers mean, and what a profile may not say.

use serde_json::json;

use super::*;
use crate::profile::Profile;

fn profile(text: &str) -> Profile {
    Profile::parse(text, "x.toml").unwrap_or_else(|problems| panic!("{problems}"))
}

fn netsapiens() -> Profile {
    profile(Profile::builtin("netsapiens").unwrap())
}

/// The netsapiens profile with other ways.
fn with(subscriber: &str) -> String {
    let text = Profile::builtin("netsapiens").unwrap();
    format!("{}\n{subscriber}", text.split("# The PBX's own records").next().unwrap())
}

fn problems(subscriber: &str) -> Vec<String> {
    let Err(problems) = Profile::parse(&with(subscriber), "x.toml") else { return Vec::new() };
    let before = with("").lines().count();
    let problems = problems.0.into_iter().map(|mut problem| {
        // Lines of the part under test.
        problem.line = problem.line.map(|line| line - before);
        problem.to_string()
    });
    problems.collect()
}

fn answer(status: u16, body: &str) -> FirstResponse<'_> {
    FirstResponse { status, body: body.as_bytes(), ..FirstResponse::default() }
}

/// R-B4: NetSapiens API v2, then v1; the PIN is a text, so leading zeros stay.
#[test]
fn the_netsapiens_calls() {
    let profile = netsapiens();
    let login = LoginName::new("1001", "abc-company.11111.service").unwrap();
    let pin = Secret::new("00420");
    let upstream_name = profile.upstream_login_name(&login);
    let filling = Filling { login: &login, upstream_name: &upstream_name, pin: Some(&pin) };
    let [v2, v1] = profile.subscriber().writes() else { panic!("two ways") };
    assert_eq!(v2.call().method(), "PUT");
    let target = "/ns-api/v2/domains/abc-company.11111.service/users/1001";
    assert_eq!(v2.call().target(&filling).as_deref(), Some(target));
    let (media_type, body) = v2.call().body(&filling).unwrap();
    assert_eq!(media_type, "application/json");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body, json!({ "voicemail-login-pin": "00420", "synchronous": "yes" }));
    assert_eq!(v1.call().target(&filling).as_deref(), Some("/ns-api/"));
    let (media_type, body) = v1.call().body(&filling).unwrap();
    assert_eq!(media_type, "application/x-www-form-urlencoded");
    let fields: Vec<(String, String)> =
        form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let has = |name: &str, value: &str| fields.contains(&(name.into(), value.into()));
    assert!(has("uid", "1001@abc-company.11111.service") && has("pwd", "00420"), "{fields:?}");
    for way in [v2, v1] {
        assert_eq!(way.judge(&answer(200, "")), WriteJudgement::Done);
        assert_eq!(way.judge(&answer(202, "")), WriteJudgement::Later);
        assert_eq!(way.judge(&answer(500, "")), WriteJudgement::Unknown);
    }
    let [v2, v1] = profile.subscriber().reads() else { panic!("two ways") };
    let pin = |way: &PinRead, answer| way.pin_in(&answer).map(|pin| pin.expose().to_owned());
    assert_eq!(v2.call().method(), "GET");
    assert_eq!(pin(v2, json!({ "voicemail-login-pin": "0042" })).as_deref(), Some("0042"));
    assert_eq!(pin(v2, json!({ "voicemail-login-pin": 4200 })).as_deref(), Some("4200"));
    for none in [json!({ "voicemail-login-pin": "" }), json!({}), json!([]), json!(null)] {
        assert_eq!(pin(v2, none.clone()), None, "{none}");
    }
    assert_eq!(pin(v2, json!({ "voicemail-login-pin": 4.2 })), None);
    assert_eq!(v1.call().method(), "POST");
    assert_eq!(pin(v1, json!([{ "subscriber_pin": "0815" }])).as_deref(), Some("0815"));
    assert_eq!(pin(v1, json!([])), None);
}

/// The portal's own page: "saved" and "not saved" are told apart, whatever the status.
#[test]
fn the_netsapiens_page() {
    let profile = netsapiens();
    let page = profile.subscriber().own_page().unwrap();
    let judged = |status, location: Option<&str>, body: &str| {
        page.judge(&FirstResponse { location, ..answer(status, body) })
    };
    let saved = r#"<div id="flashMessage">Your profile has been saved.</div>"#;
    let wrong = r#"<div id="flashMessage">The PIN is too short.</div>"#;
    assert_eq!(judged(200, None, saved), WriteJudgement::Done);
    assert_eq!(judged(302, Some("/portal/profile"), ""), WriteJudgement::Done);
    assert_eq!(judged(200, None, wrong), WriteJudgement::Refused);
    assert_eq!(judged(302, Some("/portal/login"), ""), WriteJudgement::Unknown);
    assert_eq!(judged(200, None, "<h1>Back soon</h1>"), WriteJudgement::Unknown);
}

/// What is filled in stays where it belongs: a login name cannot lead to another record.
#[test]
fn names_cannot_change_the_request() {
    let text = with(
        "[[subscriber.write]]\nmethod = \"POST\"\npath = \"/api/{tenant}/{extension}?as={login}\"\n\
         json = { user = [\"{extension}\", { pin = \"{pin}\" }], n = 5 }\ndone = [{ status = [204] }]\n",
    );
    let profile = profile(&text);
    let way = &profile.subscriber().writes()[0];
    let pin = Secret::new("{extension}");
    let filled = |extension: &str| {
        let login = LoginName::new(extension, "a&b{pin}").unwrap();
        let filling = Filling { login: &login, upstream_name: "x/y?z", pin: Some(&pin) };
        (way.call().target(&filling), way.call().body(&filling).unwrap().1)
    };
    let (target, body) = filled("1/../2?x#y");
    assert_eq!(target.as_deref(), Some("/api/a%26b%7Bpin%7D/1%2F..%2F2%3Fx%23y?as=x%2Fy%3Fz"));
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body, json!({ "user": ["1/../2?x#y", { "pin": "{extension}" }], "n": 5 }));
    assert_eq!(filled("..").0, None);
    assert_eq!(filled(".").0, None);
}

/// Where "done" and "refused" both match, "done" counts: it is still to be proved, while "refused"
/// would leave a PIN at the PBX that nobody here knows.
#[test]
fn refused_is_the_last_judgement() {
    let text = with(
        "[[subscriber.write]]\npath = \"/api\"\nform = { u = \"{login}\", p = \"{pin}\" }\n\
         done = [{ body = 'saved' }]\nlater = [{ status = [202] }]\nrefused = [{ status = [200, 202] }]\n",
    );
    let profile = profile(&text);
    let way = &profile.subscriber().writes()[0];
    assert_eq!(way.call().method(), "POST");
    assert_eq!(way.judge(&answer(200, "saved")), WriteJudgement::Done);
    assert_eq!(way.judge(&answer(202, "")), WriteJudgement::Later);
    assert_eq!(way.judge(&answer(200, "no")), WriteJudgement::Refused);
    assert_eq!(way.judge(&answer(400, "no")), WriteJudgement::Unknown);
}

/// configuration.md: everything wrong is reported with its line and, where there is one, a hint.
#[test]
fn mistakes_are_explained() {
    for (text, line, message) in [
        (
            "[[subscriber.write]]\npath = \"/a\"\nform = { u = \"{login}\", p = \"{pni}\" }\ndone = [{ status = [200] }]",
            3,
            "`{pni}` is no place to fill in (known are",
        ),
        (
            "[[subscriber.write]]\npath = \"/a\"\njson = { u = \"{login}\", p = \"{\" }\ndone = [{ status = [200] }]",
            3,
            "`{` is no place",
        ),
        (
            "[[subscriber.write]]\npath = \"/a/{login}/{pin}\"\nmethod = \"PUT\"\ndone = [{ status = [200] }]",
            2,
            "a PIN must not stand in a path",
        ),
        (
            "[[subscriber.write]]\npath = \"/a/{login}\"\nmethod = \"PUT\"\ndone = [{ status = [200] }]",
            1,
            "does not say where the PIN goes",
        ),
        (
            "[[subscriber.write]]\npath = \"/a\"\nform = { p = \"{pin}\" }\ndone = [{ status = [200] }]",
            1,
            "does not say whose PIN",
        ),
        (
            "[[subscriber.write]]\npath = \"/a/{login}\"\nmethod = \"GET\"\nform = { p = \"{pin}\" }\ndone = [{ status = [200] }]",
            1,
            "not written by GET",
        ),
        (
            "[[subscriber.write]]\npath = \"/a/{login}\"\nform = { p = \"{pin}\" }\njson = {}\ndone = [{ status = [200] }]",
            1,
            "either `form` or `json`",
        ),
        (
            "[[subscriber.write]]\npath = \"/a/{login}\"\nform = { p = \"{pin}\" }",
            1,
            "nothing would be taken for a PIN that was written",
        ),
        (
            "[[subscriber.write]]\npath = \"/a/{login}\"\nform = { p = \"{pin}\" }\ndone = [{}]",
            4,
            "no condition",
        ),
        (
            "[[subscriber.write]]\npath = \"/a/{login}\"\nform = { p = \"{pin}\" }\ndone = [{ body = '(' }]",
            4,
            "bad regular expression",
        ),
        (
            "[[subscriber.write]]\npath = \"a/{login}\"\nform = { p = \"{pin}\" }\ndone = [{ status = [200] }]",
            2,
            "is no path",
        ),
        ("[[subscriber.read]]\npath = \"/a/{login}\"\npin = \"pin\"", 3, "a JSON pointer begins"),
        ("[[subscriber.read]]\npath = \"/a\"\npin = \"/pin\"", 1, "whose PIN"),
        (
            "[[subscriber.read]]\npath = \"/a/{login}\"\nform = { p = \"{pin}\" }\npin = \"/pin\"",
            1,
            "cannot be filled in",
        ),
        (
            "[subscriber.own_page]\npath = \"/p\"\nfields = []\ndone = [{ body = 'saved' }]",
            1,
            "the names of the fields",
        ),
        (
            "[subscriber.own_page]\npath = \"/p\"\nfields = [\"pin\"]\ndone = [{ status = [302] }]",
            4,
            "a status alone",
        ),
        (
            "[subscriber.own_page]\npath = \"/p\"\nfield = \"pin\"\ndone = [{ body = 'x' }]",
            3,
            "did you mean `fields`?",
        ),
        ("[subscriber.token]\npath = \"token\"", 2, "is no path"),
    ] {
        let found = problems(text);
        let expected = format!("x.toml:{line}: ");
        assert!(
            found.iter().any(|found| found.starts_with(&expected) && found.contains(message)),
            "{text}\n{message}\n{found:#?}"
        );
    }
}

/// The other built-in profiles know no way: nothing is promised that cannot be kept.
#[test]
fn the_others_have_no_way() {
    for name in ["fusionpbx", "generic"] {
        let profile = profile(Profile::builtin(name).unwrap());
        let subscriber = profile.subscriber();
        assert!(subscriber.writes().is_empty() && subscriber.reads().is_empty(), "{name}");
        assert!(subscriber.own_page().is_none() && subscriber.token_path().is_none(), "{name}");
    }
}
