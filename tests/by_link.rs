//! What a link from a mail does (R-D1, R-D4): it sets the portal password, brings the voicemail PIN
//! in order, and opens the portal; and what of before ends.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{
    ABC_COMPANY, Answer, Client, Gateway, PORTAL_ADMIN, Pbx, Person, Settings, Smtp, Socket, alice,
};

const ADDRESS: &str = "alice@corp.example";
const PASSWORD: &str = "Lighthouse-42";
const NEW_PIN: &str = "80246";
const WORDS: [(&str, &str); 2] = [("password", PASSWORD), ("confirm", PASSWORD)];
const SETUP: [(&str, &str); 3] = [("pin", NEW_PIN), WORDS[0], WORDS[1]];

struct World {
    pbx: Pbx,
    smtp: Smtp,
    gateway: Gateway,
}

impl World {
    /// Alice was imported, with an address; her PIN is known to the PBX only.
    async fn new() -> Self {
        Self::with(PORTAL_ADMIN, "warn").await
    }

    async fn with(more: &str, phase: &str) -> Self {
        let (pbx, smtp) = (Pbx::start().await, Smtp::start().await);
        let more = format!("{more}{}", smtp.config());
        let gateway = Gateway::with(&pbx, Settings { more, ..Settings::in_phase(phase) }).await;
        gateway.put_on_file(&alice().login, ADDRESS).await;
        Self { pbx, smtp, gateway }
    }

    async fn link(&self, kind: &str) -> String {
        self.gateway.ask(&alice().login, kind).await;
        loop {
            let mail = self.smtp.mail_to(ADDRESS).await;
            // Not a report, nor the mail about a lock.
            if mail.links().iter().any(|link| link.contains("code=")) {
                return mail.path().to_owned();
            }
        }
    }

    async fn log_in(&self, secret: &str) -> (u16, String) {
        let answer = self.gateway.client().log_in(&alice().login, secret).await;
        (answer.status, answer.location().to_owned())
    }

    async fn has_password(&self) -> bool {
        self.gateway.account(&alice().login).await["state"] == "password"
    }

    fn wrong_pins(&self) -> usize {
        self.pbx.tried().iter().filter(|(_, accepted)| !accepted).count()
    }
}

fn home() -> (u16, String) {
    (303, "/portal/home".into())
}

fn is_home(answer: &Answer) {
    assert_eq!((answer.status, answer.location()), (303, "/portal/home"), "{}", answer.text());
}

/// R-D4: a new user chooses a portal password and a voicemail PIN, which is written to the PBX, and
/// is on the portal's home page. In every phase.
#[tokio::test(flavor = "multi_thread")]
async fn a_welcome_sets_everything_up() {
    for phase in ["quiet", "warn", "force", "reject"] {
        let world = World::with(PORTAL_ADMIN, phase).await;
        let link = world.link("welcome").await;
        let browser = world.gateway.client();
        for (pin, why) in [
            ("", "Enter your voicemail PIN."),
            ("1111", "voicemail PIN"),
            ("1001", "must not be your extension"),
            ("12ab", "only have digits"),
        ] {
            let refused = browser.use_link(&link, &[("pin", pin), WORDS[0], WORDS[1]]).await;
            assert_eq!(refused.status, 422, "{pin}");
            assert!(refused.text().contains(why), "{pin}: {}", refused.text());
        }
        assert!(!world.has_password().await);
        is_home(&browser.use_link(&link, &SETUP).await);
        assert!(browser.get("/portal/home").await.text().contains("use the new voicemail PIN"));
        assert_eq!(world.pbx.pin_of(&alice().login), NEW_PIN);
        assert!(browser.opens_mailbox(NEW_PIN).await && !browser.opens_mailbox(&alice().pin).await);
        assert_eq!(world.log_in(PASSWORD).await, home(), "{phase}");
        for pin in [NEW_PIN, &alice().pin] {
            assert_eq!(world.log_in(pin).await, (303, "/portal/login".into()), "{phase}");
        }
        assert_eq!(world.wrong_pins(), 0, "{phase}: {:?}", world.pbx.tried());
    }
}

/// interfaces.md: of a user who was imported and never signed in, the PIN is read from the PBX: the
/// page does not ask for it, and voicemail keeps it.
#[tokio::test(flavor = "multi_thread")]
async fn the_pin_is_read_from_the_pbx() {
    let world = World::new().await;
    let link = world.link("reset").await;
    let browser = world.gateway.client();
    let page = browser.get(&link).await;
    assert!(!page.text().contains("name=\"pin\""), "{}", page.text());
    is_home(&browser.use_link(&link, &WORDS).await);
    assert!(browser.opens_mailbox(&alice().pin).await);
    assert_eq!(world.log_in(PASSWORD).await, home());
    assert_eq!(world.wrong_pins(), 0);
}

/// interfaces.md: where the PIN is neither known nor can be read or written, the user is asked for
/// it once; no later login asks again, and the PBX sees no wrong PIN but those that were typed.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_pin_is_asked_for_once() {
    for kind in ["reset", "welcome"] {
        let world = World::with("", "reject").await;
        let link = world.link(kind).await;
        let browser = world.gateway.client();
        assert!(!browser.get(&link).await.text().contains("name=\"pin\""), "{kind}");
        let saved = browser.use_link(&link, &WORDS).await;
        assert_eq!((saved.status, saved.location()), (303, "/account/current-pin"));
        assert!(world.has_password().await);
        assert_eq!(browser.get("/portal/home").await.location(), "/account/current-pin");
        assert_eq!(world.wrong_pins(), 0);
        for (pin, expected) in [("50505", 403), (&alice().pin, 303)] {
            let csrf = browser.get("/account/current-pin").await.last_form_input("csrf");
            let form = [("csrf", csrf.as_str()), ("pin", pin)];
            let answer = browser.post("/account/current-pin", &form).await;
            assert_eq!(answer.status, expected, "{kind} {pin}: {}", answer.text());
        }
        assert_eq!(browser.get("/portal/home").await.status, 200);
        assert_eq!(world.log_in(PASSWORD).await, home(), "it is asked once");
        assert_eq!(world.wrong_pins(), 1, "{:?}", world.pbx.tried());
    }
}

/// R-C8: a reset ends every other session of the account within a second, with its WebSockets; those
/// of others go on.
#[tokio::test(flavor = "multi_thread")]
async fn all_other_sessions_end_at_once() {
    let world = World::new().await;
    let gateway = &world.gateway;
    let elsewhere = gateway.client().signed_in(&alice()).await;
    let bob = Person { login: format!("1002@{ABC_COMPANY}"), pin: "62342".into() };
    let bob = gateway.client().signed_in(&bob).await;
    let open = async |client: &Client| {
        Socket::open(gateway, client, "/portal/socket?ticks=off", Some(&client.base)).await.unwrap()
    };
    let (mut socket, mut of_bob) = (open(&elsewhere).await, open(&bob).await);
    assert!(socket.next().await.is_some() && of_bob.next().await.is_some());
    let link = world.link("reset").await;
    is_home(&gateway.client().use_link(&link, &WORDS).await);

    let begun = Instant::now();
    while socket.next().await.is_some() {}
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(elsewhere.get("/portal/home").await.location(), "/portal/login");
    assert_eq!(elsewhere.fetch("/portal/home/checkSession").await.status, 401);
    assert_eq!(bob.get("/portal/home").await.status, 200);
    of_bob.send("hello").await;
    assert!(of_bob.next().await.is_some());
    let id = gateway.account(&alice().login).await["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/sessions?account={id}");
    let (_, sessions) = gateway.api("GET", &path, Value::Null).await;
    assert_eq!(sessions["items"].as_array().unwrap().len(), 1, "{sessions}");
}

/// Somebody else was signed in in this browser: not any more.
#[tokio::test(flavor = "multi_thread")]
async fn another_accounts_session_in_this_browser_ends() {
    let world = World::new().await;
    let link = world.link("reset").await;
    let bob = Person { login: format!("1002@{ABC_COMPANY}"), pin: "62342".into() };
    let browser = world.gateway.client().signed_in(&bob).await;
    let before = browser.cookie("__Host-passgate").unwrap();
    let weak = [("password", "short"), ("confirm", "short")];
    assert_eq!(browser.use_link(&link, &weak).await.status, 422);
    assert_eq!(browser.get("/portal/home").await.status, 200, "not before it was used");
    is_home(&browser.use_link(&link, &WORDS).await);
    assert!(browser.get("/portal/home").await.text().contains("Alice"));
    let old = world.gateway.client();
    old.set_cookie("__Host-passgate", &before);
    assert_eq!(old.get("/portal/home").await.location(), "/portal/login");
}

/// R-C5: who reads the owner's mail is the owner: a reset lifts the lock that guesses brought about.
/// Asking for it, or looking at it, does not (security.md "Codes").
#[tokio::test(flavor = "multi_thread")]
async fn a_reset_lifts_a_lockout() {
    let world = World::new().await;
    for _ in 0..5 {
        world.log_in("50505").await;
    }
    let locked = async || world.gateway.account(&alice().login).await["locked_until"].is_string();
    assert!(locked().await);
    let link = world.link("reset").await;
    let browser = world.gateway.client();
    assert_eq!(browser.get(&link).await.status, 200);
    assert!(locked().await);
    is_home(&browser.use_link(&link, &WORDS).await);
    assert!(!locked().await);
    assert_eq!(world.log_in(PASSWORD).await, home());
}

/// security.md "Sessions": a link is no use to an account that was switched off, and tells nothing
/// about it. Switched on again, the account needs a new one.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_of_an_account_that_is_switched_off() {
    let world = World::new().await;
    let link = world.link("reset").await;
    let browser = world.gateway.client();
    let csrf = browser.get(&link).await.input("csrf");
    let code = link.split_once('=').unwrap().1;
    world.gateway.ask(&alice().login, "disable").await;
    let form = [&[("csrf", csrf.as_str()), ("code", code)], WORDS.as_slice()].concat();
    for answer in [browser.get(&link).await, browser.post("/account/reset", &form).await] {
        assert_eq!(answer.status, 404, "{}", answer.text());
        assert!(!answer.text().contains(&alice().login), "{}", answer.text());
    }
    world.gateway.ask(&alice().login, "enable").await;
    assert!(!world.has_password().await);
    assert_eq!(browser.get(&link).await.status, 410);
    world.gateway.advance("3m").await;
    let link = world.link("reset").await;
    is_home(&browser.use_link(&link, &WORDS).await);

    let path = format!("/api/v1/accounts/{}", alice().login);
    world.gateway.advance("1h").await;
    let link = world.link("reset").await;
    assert_eq!(world.gateway.api("DELETE", &path, json!(null)).await.0, 204);
    assert_eq!(browser.get(&link).await.status, 404);
}

/// What was saved stays saved while the PBX is down: the user is told to sign in in a minute.
#[tokio::test(flavor = "multi_thread")]
async fn saved_while_the_pbx_is_down() {
    let world = World::new().await;
    let pbx = &world.pbx.0;
    world.gateway.client().signed_in(&alice()).await;
    let link = world.link("reset").await;
    let browser: Client = world.gateway.client();
    pbx.fail_with(passgate::demo::portal::Failure::Close);
    let saved = browser.use_link(&link, &WORDS).await;
    assert_eq!((saved.status, saved.location()), (303, "/account/login"), "{}", saved.text());
    let page = browser.get("/account/login").await;
    assert!(page.text().contains("Your portal password is saved."), "{}", page.text());
    assert_eq!(page.input("login"), alice().login);
    assert_eq!(browser.get(&link).await.status, 410, "it is used");
    pbx.fail_with(passgate::demo::portal::Failure::None);
    assert_eq!(world.log_in(PASSWORD).await, home());
}
