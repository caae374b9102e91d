//! A form that was sent after its session had ended is kept, sealed, and offered after the same
//! user's login (R-C4): sent once, by its user's click and as it was, or never.

use passgate::demo::portal::{Failure, RecordedRequest};
use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{Method, RequestBuilder};

use crate::sessions::bob;
use crate::support::{Answer, Client, Gateway, Pbx, Person, Settings, alice};

const KEPT: &str = "__Host-passgate-kept";
const SEND: &str = "__Host-passgate-send";
const PROFILE: &str = "/portal/profile";
const OFFER: &str = "/account/kept-form";
const PASSWORD: &str = "Correct7Horse";

/// What is typed; with a character that has two spellings in an encoded form, and one that has none
/// in UTF-8.
const FORM: &str =
    "data%5bProfile%5d%5Bname%5D=Alice+%7EA.~&latin=%E9&data%5BProfile%5D%5Bvmail_pin%5D=";

/// R-C4: "a form that was sent after expiry is kept sealed and offered after the same user's login".
/// It reaches the PBX by the button alone, once, byte for byte, as if sent from its own page; with
/// another password meanwhile, over both protocols.
#[tokio::test]
async fn a_form_that_was_sent_too_late_is_sent_after_the_login() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::with(&pbx, Settings::in_phase("quiet")).await;
    for (protocol, client) in gateway.both_protocols() {
        let client = client.signed_in(&alice()).await;
        gateway.advance("4h").await;
        pbx.0.clear_record();
        let late = client.send(filled_in(&client, FORM)).await;
        assert_eq!((late.status, late.location()), (303, "/portal/login"), "{protocol}");
        let login = client.get("/portal/login").await.text();
        assert!(login.contains("What you sent is kept for an hour"), "{protocol}: {login}");

        let landed = client.log_in(&alice().login, &alice().pin).await;
        assert_eq!((landed.status, landed.location()), (303, OFFER), "{protocol}");
        let offer = client.get(OFFER).await;
        assert_eq!(offer.status, 200, "{protocol}");
        assert!(offer.text().contains("<dd>&#x2f;portal&#x2f;profile</dd>"), "{}", offer.text());
        assert!(!offer.text().contains("Alice ~A"), "what was typed is not shown");
        assert_eq!(posts(&pbx).len(), 0, "{protocol}: nothing is sent by itself");

        let sent_on = decide(&client, "send").await;
        assert_eq!((sent_on.status, sent_on.location()), (307, PROFILE), "{protocol}");
        let decision = client.cookie(SEND).expect("what its user decided");
        assert_eq!(posts(&pbx).len(), 0, "{protocol}");
        let saved = repeat(&client).await;
        assert_eq!(saved.status, 200, "{protocol}");
        assert!(saved.text().contains("Your profile has been saved."), "{}", saved.text());
        assert!(saved.text().contains("value=\"Alice ~A.~\""), "{}", saved.text());
        let [request] = &posts(&pbx)[..] else { panic!("{:?}", pbx.0.record()) };
        assert_eq!(request.body, FORM.as_bytes(), "{protocol}");
        for (name, value) in [
            ("content-type", "application/x-www-form-urlencoded; charset=UTF-8"),
            ("origin", client.base.as_str()),
            ("referer", &format!("{}{PROFILE}?tab=1", client.base)),
        ] {
            assert_eq!(request.header(name), Some(value), "{protocol}");
        }

        // Once: for whoever presses twice, and for a cookie that was kept.
        assert_eq!((client.cookie(KEPT), client.cookie(SEND)), (None, None), "{protocol}");
        client.set_cookie(SEND, &decision);
        let again = repeat(&client).await;
        assert_eq!((again.status, again.location()), (303, "/portal/home"), "{protocol}");
        assert_eq!(client.get(OFFER).await.location(), "/portal/home", "{protocol}");
        assert_eq!(posts(&pbx).len(), 1, "{protocol}");
    }
}

/// R-C4: discarded by its button, by another user's login in the same browser, and after an hour.
#[tokio::test]
async fn a_kept_form_goes_in_three_ways() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::with(&pbx, Settings::in_phase("quiet")).await;
    for way in ["button", "other user", "time"] {
        let client = late(&gateway).await;
        let token = client.cookie(KEPT).unwrap();
        pbx.0.clear_record();
        match way {
            "button" => {
                assert_eq!(client.log_in(&alice().login, &alice().pin).await.location(), OFFER);
                let discarded = decide(&client, "discard").await;
                assert_eq!((discarded.status, discarded.location()), (303, "/portal/home"));
                let home = client.get("/portal/home").await.text();
                assert!(home.contains("The form was discarded"), "{home}");
            }
            "other user" => {
                let other = bob();
                assert_eq!(client.log_in(&other.login, &other.pin).await.location(), OFFER);
                assert_eq!(client.get(OFFER).await.location(), "/portal/home");
                assert_eq!(client.cookie(KEPT), None);
            }
            _ => {
                gateway.advance("1h").await;
                assert_eq!(client.log_in(&alice().login, &alice().pin).await.location(), OFFER);
            }
        }
        // Its owner comes back with the same cookie: there is nothing any more.
        let owner = gateway.client().signed_in(&alice()).await;
        owner.set_cookie(KEPT, &token);
        let gone = owner.get(OFFER).await;
        assert_eq!((gone.status, gone.location()), (303, "/portal/home"), "{way}");
        assert_eq!(posts(&pbx).len(), 0, "{way}");
    }
}

/// R-C4, R-A3: "offered after the same user's login", on whatever way that leads in: our own login
/// page, and the page where a portal password must be set first; and after a restart.
#[tokio::test]
async fn a_kept_form_is_offered_behind_whatever_stands_before() {
    let pbx = Pbx::start().await;
    let settings = Settings { now: "2031-12-31T22:00:00Z".into(), ..Settings::default() };
    let mut gateway = Gateway::with(&pbx, settings).await;
    let client = gateway.client().signed_in(&alice()).await;
    gateway.advance("4h").await;
    client.send(filled_in(&client, FORM)).await;
    let (kept, device) =
        (client.cookie(KEPT).unwrap(), client.cookie("__Host-passgate-device").unwrap());
    gateway.restart().await;
    let client = gateway.client();
    client.set_cookie(KEPT, &kept);
    client.set_cookie("__Host-passgate-device", &device);
    let csrf = client.get("/account/login").await.input("csrf");
    let Person { login, pin } = alice();
    let form = [("csrf", csrf.as_str()), ("login", &login), ("password", &pin)];
    let held = client.post("/account/login", &form).await;
    assert_eq!(held.location(), "/account/set-password", "the force phase has begun");
    assert_eq!(client.get(OFFER).await.location(), "/account/set-password");
    assert_eq!(client.choose(&pin, PASSWORD).await.location(), OFFER);
    decide(&client, "send").await;
    assert!(repeat(&client).await.text().contains("Your profile has been saved."));
}

/// R-C4: "never contains or keeps credential fields"; kept only from a page of this origin, and for
/// a browser that its user signed in with. Whoever else sends something fills nothing.
#[tokio::test]
async fn what_is_not_kept() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::with(&pbx, Settings::in_phase("quiet")).await;
    let expired = async || {
        let client = gateway.client().signed_in(&alice()).await;
        gateway.advance("4h").await;
        client
    };
    let too_long = format!("a={}", "x".repeat(64 * 1024));
    for body in [
        "data[Login][password]=1234",
        "a=b&data%5BLogin%5D%5Busername%5D=x",
        "data[Profile][name]=Alice&data[Profile][vmail_pin]=90210",
        "newPassword=x",
        too_long.as_str(),
    ] {
        let client = expired().await;
        lost(&client, filled_in(&client, body), &body[..body.len().min(60)]).await;
    }
    let client = expired().await;
    let multipart = filled_in(&client, "--x\r\n");
    let multipart = multipart.headers(field("content-type", "multipart/form-data; boundary=x"));
    lost(&client, multipart, "an upload").await;
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://evil.example"),
        ("content-encoding", "gzip"),
    ] {
        let client = expired().await;
        lost(&client, filled_in(&client, FORM).headers(field(name, value)), value).await;
    }
    let client = expired().await;
    let query = format!("{PROFILE}?data[Login][password]=1234");
    let request = client.request(Method::POST, &query).header("origin", &client.base);
    lost(&client, request.form(&[("a", "b")]), "credentials in the query").await;

    // Somebody who never signed in here; whose device cookie is another's, or of a former password.
    let client = expired().await;
    client.set_cookie("__Host-passgate-device", "AAAA");
    lost(&client, filled_in(&client, FORM), "a made-up device").await;
    let client = expired().await;
    let elsewhere = gateway.client().signed_in(&alice()).await;
    assert_eq!(elsewhere.set_password(&alice().pin, PASSWORD).await.status, 303);
    lost(&client, filled_in(&client, FORM), "the password was changed meanwhile").await;

    for signed_out in [gateway.client(), gateway.client().signed_in(&bob()).await] {
        signed_out.get("/portal/login/logout").await;
        let answer = signed_out.send(filled_in(&signed_out, FORM)).await;
        assert_eq!((answer.status, signed_out.cookie(KEPT)), (303, None), "who signed out");
    }
    let client = gateway.client().signed_in(&bob()).await;
    gateway.advance("4h").await;
    let script = filled_in(&client, FORM).headers(field("sec-fetch-mode", "cors"));
    let answer = client.send(script).await;
    assert_eq!((answer.status, client.cookie(KEPT)), (401, None), "a script is told at once");
}

/// R-C4: "kept sealed": nobody who reads the files reads the form, nor the log.
#[tokio::test]
async fn a_kept_form_is_sealed() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::with(&pbx, Settings::in_phase("quiet")).await;
    let client = gateway.client().signed_in(&alice()).await;
    gateway.advance("4h").await;
    client.send(filled_in(&client, "note=canary-in-a-form")).await;
    let token = client.cookie(KEPT).unwrap();
    for (name, bytes) in gateway.written() {
        for secret in ["canary-in-a-form", token.as_str()] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} stands in {name}");
        }
    }
    assert_eq!(client.log_in(&alice().login, &alice().pin).await.location(), OFFER);
    // A form of another page, or of no page of ours, decides nothing.
    let csrf =
        gateway.client().signed_in(&bob()).await.get("/account/security").await.input("csrf");
    let forged = client.post(OFFER, &[("csrf", csrf.as_str()), ("action", "send")]).await;
    assert_eq!((forged.status, client.cookie(SEND)), (403, None), "{}", forged.text());
    let elsewhere = client.http.post(format!("{}{OFFER}", client.base));
    let elsewhere = elsewhere.header("cookie", client.cookie_header());
    let elsewhere = elsewhere.header("sec-fetch-site", "cross-site").form(&[("action", "send")]);
    assert_eq!(client.send(elsewhere).await.status, 403);
    assert_eq!(client.get(OFFER).await.status, 200);
}

/// R-C4: what the PBX made of it nobody knows when it does not answer: it is not sent twice.
#[tokio::test]
async fn a_kept_form_is_not_sent_again_when_the_pbx_fails() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::with(&pbx, Settings::in_phase("quiet")).await;
    let client = late(&gateway).await;
    assert_eq!(client.log_in(&alice().login, &alice().pin).await.location(), OFFER);
    pbx.0.fail_on_method("POST", PROFILE, Failure::CarriedOutThenClose);
    decide(&client, "send").await;
    let decision = client.cookie(SEND).unwrap();
    assert_eq!(repeat(&client).await.status, 502);
    client.set_cookie(SEND, &decision);
    assert_eq!(repeat(&client).await.location(), "/portal/home");
    assert_eq!(posts(&pbx).len(), 1);
}

/// A browser in which Alice's form came too late.
async fn late(gateway: &Gateway) -> Client {
    let client = gateway.client().signed_in(&alice()).await;
    gateway.advance("4h").await;
    client.send(filled_in(&client, FORM)).await;
    assert!(client.cookie(KEPT).is_some());
    client
}

/// One field in the place of whatever was there.
fn field(name: &'static str, value: &str) -> HeaderMap {
    [(HeaderName::from_static(name), value.parse().unwrap())].into_iter().collect()
}

/// The profile page's form, as a browser sends it.
fn filled_in(client: &Client, body: &str) -> RequestBuilder {
    let mut fields = HeaderMap::new();
    let kind = "application/x-www-form-urlencoded; charset=UTF-8";
    let from = format!("{}{PROFILE}?tab=1", client.base);
    for (name, value) in [("content-type", kind), ("origin", &client.base), ("referer", &from)] {
        fields.insert(HeaderName::from_static(name), value.parse().unwrap());
    }
    client.request(Method::POST, PROFILE).headers(fields).body(body.to_owned())
}

/// Nothing is kept, and its user is told so.
async fn lost(client: &Client, request: RequestBuilder, what: &str) {
    let answer = client.send(request).await;
    assert_eq!((answer.status, answer.location()), (303, "/portal/login"), "{what}");
    assert_eq!(client.cookie(KEPT), None, "{what}");
    let page = client.get("/portal/login").await.text();
    assert!(page.contains("what you sent could not be kept"), "{what}: {page}");
}

/// One of the offer's buttons.
async fn decide(client: &Client, action: &str) -> Answer {
    let csrf = client.get(OFFER).await.last_form_input("csrf");
    client.post(OFFER, &[("csrf", csrf.as_str()), ("action", action)]).await
}

/// What a browser does after a 307: the same form, to the place that was named.
async fn repeat(client: &Client) -> Answer {
    client.post(PROFILE, &[("csrf", "not for the PBX"), ("action", "send")]).await
}

/// The forms that reached the PBX.
fn posts(pbx: &Pbx) -> Vec<RecordedRequest> {
    let forms = pbx.0.record().into_iter();
    forms.filter(|request| request.method == "POST" && request.path == PROFILE).collect()
}
