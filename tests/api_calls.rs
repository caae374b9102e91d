//! Calls of the API with tokens: what the PBX is shown for them, and what ends them (R-F3, R-A6,
//! R-C7, R-C8).

use std::time::Duration;

use futures::future::join_all;
use passgate::demo::portal::{Failure, RecordedRequest};
use reqwest::Method;
use tokio::time::timeout;

use crate::sessions::bob;
use crate::support::{App, Client, Gateway, Pbx, Person, Said, Settings, Socket, alice};

/// A call that the PBX answers with one's own record.
pub const CALL: &str = "/ns-api/?object=subscriber&action=read&format=json";
pub const PASSWORD: &str = "Lighthouse-42";
/// A revocation counts within this time.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A gateway in this phase, with these `[tokens]`.
pub async fn with_tokens(pbx: &Pbx, phase: &str, tokens: &str) -> Gateway {
    let more = format!("[tokens]\n{tokens}\n");
    Gateway::with(pbx, Settings { more, ..Settings::in_phase(phase) }).await
}

async fn jwt(pbx: &Pbx) -> Gateway {
    with_tokens(pbx, "warn", "mode = \"jwt\"").await
}

/// A browser in which this person has set a portal password.
pub async fn with_password(gateway: &Gateway, person: &Person) -> Client {
    let browser = gateway.client().signed_in(person).await;
    let saved = browser.set_password(&person.pin, PASSWORD).await;
    assert!(saved.status < 400, "{}", saved.text());
    browser
}

impl App {
    /// Calls the API with this `Authorization`.
    pub async fn call(&self, path: &str, authorization: &str) -> Said {
        self.send(
            self.http.get(format!("{}{path}", self.base)).header("authorization", authorization),
        )
        .await
    }

    async fn works(&self, token: &str) -> bool {
        match self.call(CALL, &format!("Bearer {token}")).await {
            Said { status: 200, .. } => true,
            said => {
                assert_eq!((said.status, said.error()), (401, "invalid_token"), "{said:?}");
                assert!(said.header("www-authenticate").unwrap().starts_with("Bearer "));
                false
            }
        }
    }
}

/// The calls of the API that reached the PBX.
pub fn calls(pbx: &Pbx) -> Vec<RecordedRequest> {
    let mut all = pbx.0.record();
    all.retain(|request| request.path == "/ns-api/" && request.method != "PUT");
    all
}

fn asked_for_tokens(pbx: &Pbx) -> usize {
    pbx.0.record().iter().filter(|request| request.path.contains("oauth2")).count()
}

fn shown(request: &RecordedRequest) -> Vec<&str> {
    let fields = request.headers.iter().filter(|(name, _)| name == "authorization");
    fields.map(|(_, value)| value.as_str()).collect()
}

/// R-F3: in mode `jwt` the PBX is shown its own token and never sees ours; in mode `pass` it is
/// shown what the client shows. Always exactly one, and no session's cookies.
#[tokio::test(flavor = "multi_thread")]
async fn the_pbx_is_shown_its_own_token() {
    for mode in ["jwt", "pass"] {
        let pbx = Pbx::start().await;
        let gateway = with_tokens(&pbx, "warn", &format!("mode = \"{mode}\"")).await;
        with_password(&gateway, &alice()).await;
        let app = gateway.app();
        let (token, _) = app.log_in(&alice().login, PASSWORD).await.tokens();
        assert_eq!(token.matches('.').count(), if mode == "jwt" { 2 } else { 0 }, "{token}");
        pbx.0.clear_record();
        for scheme in ["Bearer", "bearer", "BEARER"] {
            let called = app.call(CALL, &format!("{scheme} {token}")).await;
            assert_eq!(called.status, 200, "{called:?}");
            assert_eq!(called.header("set-cookie"), None);
        }
        for call in calls(&pbx) {
            let [shown] = shown(&call)[..] else { panic!("{:?}", call.headers) };
            assert_eq!(shown.ends_with(&token), mode == "pass", "{mode}: {shown}");
            assert!(call.header("cookie").is_none(), "{:?}", call.headers);
        }
        // The other kind of spelling, another token, none: nobody.
        let other = format!("{}x", &token[..token.len() - 1]);
        for wrong in [other, token.to_uppercase(), "0123456789abcdef0123456789abcdef".into()] {
            assert!(!app.works(&wrong).await, "{mode}: {wrong}");
        }
        assert_eq!(calls(&pbx).len(), 3, "{mode}");
    }
}

/// R-F3, R-F5: a token is judged for itself: beside a session of the same account it counts, beside
/// another's it is refused. It is no session: pages lead to the login.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_no_session() {
    let pbx = Pbx::start().await;
    let gateway = jwt(&pbx).await;
    let own = with_password(&gateway, &alice()).await;
    let other = gateway.client().signed_in(&bob()).await;
    let (token, _) = gateway.app().log_in(&alice().login, PASSWORD).await.tokens();
    let bearer = format!("Bearer {token}");
    let ask = |browser: &Client, path: &str| {
        browser.request(Method::GET, path).header("authorization", &bearer)
    };
    assert_eq!(own.send(ask(&own, CALL)).await.status, 200);
    pbx.0.clear_record();
    assert_eq!(other.send(ask(&other, CALL)).await.status, 403);
    assert!(pbx.0.record().is_empty());

    let stranger = gateway.client();
    let page = stranger.send(ask(&stranger, "/portal/home")).await;
    assert_eq!((page.status, page.location()), (303, "/portal/login"));
    assert_eq!(own.send(ask(&own, "/portal/home")).await.status, 200);
    assert!(pbx.0.record().iter().all(|request| request.header("authorization").is_none()));
}

/// R-C8: a password change, switching off, an administrator's and the user's own sign-out
/// everywhere end all tokens within a second, on an open WebSocket and an event stream too.
#[tokio::test(flavor = "multi_thread")]
async fn what_ends_sessions_ends_tokens() {
    for mode in ["jwt", "pass"] {
        for way in ["password", "disable", "admin", "revoke"] {
            let pbx = Pbx::start().await;
            let gateway = with_tokens(&pbx, "warn", &format!("mode = \"{mode}\"")).await;
            let browser = with_password(&gateway, &alice()).await;
            let app = gateway.app();
            let (token, refresh) = app.log_in(&alice().login, PASSWORD).await.tokens();
            assert!(app.works(&token).await);
            let mut socket = open_socket(&gateway, &token).await.unwrap();
            assert!(socket.next().await.is_some(), "it greets");
            match way {
                "password" => {
                    let saved = browser.set_password(PASSWORD, "Lighthouse-43").await;
                    assert_eq!(saved.status, 303, "{}", saved.text());
                }
                "disable" => drop(gateway.ask(&alice().login, "disable").await),
                "admin" => {
                    let path = format!("/api/v1/sessions?account={}", alice().login);
                    let (_, list) = gateway.api("GET", &path, ().into()).await;
                    let all = list["items"].as_array().unwrap();
                    for app in all.iter().filter(|session| session["kind"] == mode) {
                        let path = format!("/api/v1/sessions/{}", app["id"].as_str().unwrap());
                        assert_eq!(gateway.api("DELETE", &path, ().into()).await.0, 204);
                    }
                }
                _ => {
                    let form = [("token", refresh.as_str())];
                    let ask = app.http.post(format!("{}/account/oauth/revoke", app.base));
                    let ask = ask.basic_auth(crate::support::APP.0, Some(crate::support::APP.1));
                    assert_eq!(ask.form(&form).send().await.unwrap().status(), 200);
                }
            }
            let closed = timeout(AT_ONCE, async { while socket.next().await.is_some() {} }).await;
            assert!(closed.is_ok(), "{mode} {way}: the WebSocket outlives its token");
            assert!(!app.works(&token).await, "{mode} {way}");
            assert_eq!(app.refresh(&refresh).await.error(), "invalid_grant", "{mode} {way}");
        }
    }
}

async fn open_socket(gateway: &Gateway, token: &str) -> Result<Socket, u16> {
    let fields = [("authorization", format!("Bearer {token}"))];
    Socket::with(gateway, "/ns-api/v2/socket?ticks=off", &fields).await
}

/// R-F3: a WebSocket needs a token that works, and no page of another origin can open one.
#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_with_a_token() {
    let pbx = Pbx::start().await;
    let gateway = jwt(&pbx).await;
    with_password(&gateway, &alice()).await;
    let (token, _) = gateway.app().log_in(&alice().login, PASSWORD).await.tokens();
    let mut socket = open_socket(&gateway, &token).await.unwrap();
    assert!(socket.next().await.unwrap().to_string().contains(&alice().login));
    socket.send("hello").await;
    assert_eq!(socket.next().await.unwrap().to_string(), "hello");
    assert_eq!(open_socket(&gateway, "abc").await.err(), Some(401));
    let bearer = format!("Bearer {token}");
    for (origin, expected) in [("https://evil.example", Some(403)), ("null", Some(403))] {
        let fields = [("authorization", bearer.clone()), ("origin", origin.to_owned())];
        let opened = Socket::with(&gateway, "/ns-api/v2/socket", &fields).await;
        assert_eq!(opened.err(), expected, "{origin}");
    }
}

/// R-A6: what was obtained with a PIN stops at force, at its tenant's own date, open streams too;
/// the refusal says what to do.
#[tokio::test(flavor = "multi_thread")]
async fn pin_tokens_stop_at_force() {
    for mode in ["jwt", "pass"] {
        let pbx = Pbx::start().await;
        let tenant = "[rollout.tenants.wickedsprockets]\nforce = 2031-09-01\n";
        let more =
            format!("{tenant}[tokens]\nmode = \"{mode}\"\nrefresh = \"365d\"\naccess = \"24h\"\n");
        let settings = Settings { more, now: "2031-08-31T23:59:00Z".into(), ..Settings::default() };
        let gateway = Gateway::with(&pbx, settings).await;
        let carol = Person { login: "201@wickedsprockets".into(), pin: "77123".into() };
        let app = gateway.app();
        let early = app.log_in(&carol.login, &carol.pin).await.tokens().0;
        assert!(app.works(&early).await);
        gateway.advance("1m").await;
        let said = app.call(CALL, &format!("Bearer {early}")).await;
        assert_eq!((said.status, said.error()), (401, "invalid_token"), "{mode}");
        assert!(said.words().contains("Set a portal password at https://"), "{}", said.words());

        gateway.set_clock("2031-12-31T23:59:00Z").await;
        let late = app.log_in(&alice().login, &alice().pin).await.tokens().0;
        let mut socket = open_socket(&gateway, &late).await.unwrap();
        gateway.advance("1m").await;
        assert!(!app.works(&late).await, "{mode}");
        let closed =
            timeout(Duration::from_secs(10), async { while socket.next().await.is_some() {} });
        assert!(closed.await.is_ok(), "{mode}: open in a phase that forbids it");
        pbx.0.clear_record();
        assert!(!app.works(&late).await);
        assert!(calls(&pbx).is_empty());
    }
}

/// R-C7: a PBX that forgot everything (a restart) is asked for another token, once, and the call is
/// sent again: the application notices nothing. What cannot be sent again is not refused as if the
/// token were wrong.
#[tokio::test(flavor = "multi_thread")]
async fn a_pbx_that_restarts_is_asked_again() {
    for obtained_with in [PASSWORD, &alice().pin] {
        let pbx = Pbx::start().await;
        let gateway = jwt(&pbx).await;
        if obtained_with == PASSWORD {
            with_password(&gateway, &alice()).await;
        }
        let app = gateway.app();
        let (token, _) = app.log_in(&alice().login, obtained_with).await.tokens();
        assert!(app.works(&token).await);
        pbx.0.expire_sessions();
        pbx.0.clear_record();
        let many = join_all((0..20).map(|_| app.works(&token))).await;
        assert!(many.into_iter().all(|works| works));
        // The refresh token is gone at the PBX, too: one try with it, and one with the PIN.
        assert_eq!(asked_for_tokens(&pbx), 2);

        gateway.advance("2m").await;
        pbx.0.expire_sessions();
        let bearer = format!("Bearer {token}");
        let post = || {
            let form = [("object", "subscriber"), ("action", "read")];
            app.http
                .post(format!("{}/ns-api/", app.base))
                .header("authorization", &bearer)
                .form(&form)
        };
        let said = app.send(post()).await;
        assert_eq!((said.status, said.error()), (503, "temporarily_unavailable"));
        assert_eq!(said.header("retry-after"), Some("1"));
        let again = post().send().await.unwrap();
        assert_eq!(again.status(), 200);
    }
}

/// R-C7: the PBX's token is renewed before it ends, in one flight for twenty requests; ours goes
/// on.
#[tokio::test(flavor = "multi_thread")]
async fn the_pbx_token_is_renewed_before_it_ends() {
    let pbx = Pbx::start().await;
    let gateway = with_tokens(&pbx, "warn", "mode = \"jwt\"\naccess = \"24h\"").await;
    with_password(&gateway, &alice()).await;
    let app = gateway.app();
    let (token, _) = app.log_in(&alice().login, PASSWORD).await.tokens();
    gateway.advance("58m").await;
    pbx.0.clear_record();
    assert!(app.works(&token).await);
    assert_eq!(asked_for_tokens(&pbx), 0, "it lasts two more minutes");
    let before = shown(&calls(&pbx)[0])[0].to_owned();
    gateway.advance("1m").await;
    gateway.advance("57s").await;
    pbx.0.clear_record();
    let many = join_all((0..20).map(|_| app.works(&token))).await;
    assert!(many.into_iter().all(|works| works));
    assert_eq!(asked_for_tokens(&pbx), 1, "one flight, by refresh token");
    for call in calls(&pbx) {
        assert_ne!(shown(&call)[0], before);
    }
}

/// R-C7: a PBX that gives no other token is asked once a minute, and the application is never told
/// that its token, or its user's password, is wrong.
#[tokio::test(flavor = "multi_thread")]
async fn a_pbx_that_gives_no_token_is_an_outage() {
    let pbx = Pbx::start().await;
    let gateway = jwt(&pbx).await;
    with_password(&gateway, &alice()).await;
    let app = gateway.app();
    let (token, _) = app.log_in(&alice().login, PASSWORD).await.tokens();
    pbx.0.expire_sessions();
    pbx.0.set_pin(&alice().login, "99999");
    pbx.0.clear_record();
    let bearer = format!("Bearer {token}");
    for _ in 0..5 {
        let said = app.call(CALL, &bearer).await;
        assert_eq!((said.status, said.error()), (503, "temporarily_unavailable"), "{said:?}");
        assert!(said.header("www-authenticate").is_none());
    }
    let pins = || pbx.tried().iter().filter(|(secret, _)| *secret == alice().pin).count();
    assert_eq!(pins(), 1, "a PIN that was refused is not replayed");
    gateway.advance("2m").await;
    assert_eq!(app.call(CALL, &bearer).await.status, 503);
    assert_eq!(pins(), 1);

    pbx.0.set_pin(&alice().login, &alice().pin);
    pbx.0.fail_on("/ns-api/oauth2", Failure::Close);
    gateway.advance("2m").await;
    assert_eq!(app.call(CALL, &bearer).await.status, 503);
}
