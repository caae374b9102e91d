//! A new PIN is written to the PBX (R-B4): what is promised when the PBX answers late, wrong, or
//! never, and what the next login finds.

use std::time::Duration;

use passgate::demo::portal::Failure;
use passgate::profile::Profile;
use serde_json::Value;

use crate::support::{Answer, Client, Gateway, PORTAL_ADMIN, Pbx, Settings, alice, until};

const PASSWORD: &str = "Lighthouse-42";
const NEW_PIN: &str = "80246";
/// Where users' records are written and read.
const RECORDS: &str = "/ns-api/v2/domains";

struct World {
    pbx: Pbx,
    gateway: Gateway,
}

impl World {
    /// In force, with an access of Passgate's own.
    async fn with_admin() -> Self {
        Self::with(PORTAL_ADMIN).await
    }

    async fn with(more: &str) -> Self {
        let pbx = Pbx::start().await;
        let upstream = "response_timeout = \"1s\"\nconnect_timeout = \"1s\"\n".into();
        let settings = Settings { more: more.into(), upstream, ..Settings::in_phase("force") };
        let gateway = Gateway::with(&pbx, settings).await;
        Self { pbx, gateway }
    }

    async fn held(&self) -> Client {
        let browser = self.gateway.client();
        let answer = browser.log_in(&alice().login, &alice().pin).await;
        assert_eq!(answer.location(), "/account/set-password");
        browser
    }

    fn writes_fail(&self, failure: Failure) {
        self.pbx.0.fail_on_method("PUT", RECORDS, failure);
    }

    /// Whether a write-back of Alice's is open.
    async fn is_pending(&self) -> bool {
        let account = self.gateway.account(&alice().login).await;
        let path = format!("/api/v1/accounts/{}", account["id"].as_str().unwrap());
        let (status, account) = self.gateway.api("GET", &path, Value::Null).await;
        assert_eq!(status, 200, "{account}");
        account["pin_write_back"] == "pending"
    }

    /// Time passes until the background has brought it to an end.
    async fn comes_to_an_end(&self) {
        self.gateway.advance("31s").await;
        until(async || !self.is_pending().await).await;
    }

    async fn log_in(&self, secret: &str) -> Answer {
        self.gateway.client().log_in(&alice().login, secret).await
    }

    async fn old_pair_works(&self) {
        assert!(!self.is_pending().await);
        assert_eq!(self.log_in(&alice().pin).await.location(), "/account/set-password");
        assert_eq!(self.pbx.pin_of(&alice().login), alice().pin);
        assert_eq!(self.log_in(PASSWORD).await.location(), "/portal/login");
    }

    async fn new_pair_works(&self) {
        assert!(!self.is_pending().await);
        assert_eq!(self.log_in(PASSWORD).await.location(), "/portal/home");
        assert_eq!(self.pbx.pin_of(&alice().login), NEW_PIN);
    }

    fn wrong_pins_at_the_pbx(&self) -> usize {
        self.pbx.tried().iter().filter(|(_, accepted)| !accepted).count()
    }

    /// How often a record was written.
    fn writes(&self) -> usize {
        self.pbx.0.record().iter().filter(|request| request.method == "PUT").count()
    }
}

/// R-B4: a refused write leaves the old state and is shown as retryable.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_pin_changes_nothing_and_can_be_tried_again() {
    let world = World::with_admin().await;
    world.writes_fail(Failure::Status(400));
    let browser = world.held().await;
    let refused = browser.choose(NEW_PIN, PASSWORD).await;
    assert!(matches!(refused.status, 409 | 422), "{}", refused.status);
    assert!(refused.text().contains("Nothing was changed"), "{}", refused.text());
    world.old_pair_works().await;
    world.writes_fail(Failure::None);
    let saved = world.held().await.choose(NEW_PIN, PASSWORD).await;
    assert_eq!(saved.location(), "/portal/home", "{}", saved.text());
    world.new_pair_works().await;
    assert_eq!(world.wrong_pins_at_the_pbx(), 0);
}

/// R-B4: a PBX that cannot be asked: nothing was changed, and the page blames nobody's password.
#[tokio::test(flavor = "multi_thread")]
async fn a_pbx_without_access_changes_nothing() {
    let world = World::with_admin().await;
    let browser = world.held().await;
    world.pbx.0.fail_on("/ns-api/oauth2", Failure::Close);
    let outage = browser.choose(NEW_PIN, PASSWORD).await;
    assert_eq!(outage.status, 502, "{}", outage.text());
    world.pbx.0.fail_on("/ns-api/oauth2", Failure::None);
    world.old_pair_works().await;
    assert_eq!(world.writes(), 0);
}

/// R-B4: the answer is lost, but the PIN is there: proved by reading, and nobody notices.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_proved_by_reading() {
    for lost in
        [Failure::CarriedOutThenClose, Failure::CarriedOutThen(500), Failure::CarriedOutThenHang]
    {
        let world = World::with_admin().await;
        world.writes_fail(lost);
        let saved = world.held().await.choose(NEW_PIN, PASSWORD).await;
        assert_eq!(saved.location(), "/portal/home", "{lost:?}: {}", saved.text());
        assert_eq!(world.writes(), 1, "{lost:?}: written once");
        world.new_pair_works().await;
        assert_eq!(world.wrong_pins_at_the_pbx(), 0, "{lost:?}");
    }
}

/// R-B4: a PBX whose records show no PINs, although they can be read: a login proves, in the page
/// and in the background.
#[tokio::test(flavor = "multi_thread")]
async fn records_that_show_no_pin_prove_nothing() {
    let profile = Profile::builtin("netsapiens").unwrap();
    let profile = profile.replace("/voicemail-login-pin\"", "/hidden\"");
    let profile = Some(profile.replace("/0/subscriber_pin\"", "/0/hidden\""));
    for lost in [Failure::None, Failure::CarriedOutThenClose, Failure::Close] {
        let pbx = Pbx::start().await;
        let (profile, more) = (profile.clone(), PORTAL_ADMIN.into());
        let settings = Settings { profile, more, ..Settings::in_phase("force") };
        let world = World { gateway: Gateway::with(&pbx, settings).await, pbx };
        world.writes_fail(lost);
        let saved = world.held().await.choose(NEW_PIN, PASSWORD).await;
        assert_eq!(saved.location(), "/portal/home", "{lost:?}: {}", saved.text());
        assert_eq!(world.is_pending().await, lost == Failure::Close, "{lost:?}");
        world.writes_fail(Failure::None);
        world.comes_to_an_end().await;
        world.new_pair_works().await;
    }
}

/// R-B4: "202, later": proved by reading again while the user waits a moment.
#[tokio::test(flavor = "multi_thread")]
async fn a_promise_that_is_soon_kept_is_waited_for() {
    let world = World::with_admin().await;
    world.writes_fail(Failure::Later(Duration::from_millis(700)));
    let saved = world.held().await.choose(NEW_PIN, PASSWORD).await;
    assert_eq!(saved.location(), "/portal/home", "{}", saved.text());
    world.new_pair_works().await;
    assert_eq!(world.wrong_pins_at_the_pbx(), 0);
}

/// R-B4: a promise that is kept late: the new password is valid at once, and the PIN before works
/// until the new one is there; the page says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_promise_that_is_kept_late_stays_pending() {
    let world = World::with_admin().await;
    world.writes_fail(Failure::Later(Duration::from_secs(3600)));
    let browser = world.held().await;
    let saved = browser.choose(NEW_PIN, PASSWORD).await;
    assert_eq!(saved.location(), "/portal/home", "{}", saved.text());
    let home = browser.get("/portal/home").await.text();
    assert!(home.contains("the one before works"), "{home}");
    assert!(world.is_pending().await);
    assert_eq!(world.log_in(PASSWORD).await.location(), "/portal/home", "the password is valid");
    assert!(browser.opens_mailbox(&alice().pin).await);
    // It is kept at last.
    assert!(world.pbx.0.set_pin(&alice().login, NEW_PIN));
    assert_eq!(world.log_in(PASSWORD).await.location(), "/portal/home", "the PIN is read anew");
    world.comes_to_an_end().await;
    world.new_pair_works().await;
    assert_eq!(world.wrong_pins_at_the_pbx(), 1, "one replay of the PIN before, no more");
}

/// R-B4: a promise that is never kept is written again; the new password is never taken back.
#[tokio::test(flavor = "multi_thread")]
async fn a_promise_that_is_never_kept_is_written_again() {
    let world = World::with_admin().await;
    world.writes_fail(Failure::Later(Duration::from_secs(3600)));
    world.held().await.choose(NEW_PIN, PASSWORD).await;
    world.writes_fail(Failure::None);
    world.comes_to_an_end().await;
    world.new_pair_works().await;
    assert_eq!(world.wrong_pins_at_the_pbx(), 0);
}

/// R-B4: the PBX goes down in the middle: saved, and the PIN follows when it is back.
#[tokio::test(flavor = "multi_thread")]
async fn a_pbx_that_goes_down_in_the_middle_gets_the_pin_later() {
    let mut world = World::with_admin().await;
    let browser = world.held().await;
    // The token of our own access is there already; then everything else hangs up.
    world.writes_fail(Failure::Close);
    world.pbx.0.fail_on("/ns-api/v2/domains", Failure::Close);
    world.pbx.0.fail_on("/portal/login", Failure::Close);
    let saved = browser.choose(NEW_PIN, PASSWORD).await;
    assert_eq!(saved.status, 303, "{}", saved.text());
    assert!(world.is_pending().await);
    assert_eq!(world.log_in(PASSWORD).await.status, 502, "an outage, not a wrong password");
    world.gateway.kill_and_run_again().await;
    assert!(world.is_pending().await, "a restart keeps it");
    for path in [RECORDS, "/portal/login"] {
        world.pbx.0.fail_on(path, Failure::None);
    }
    world.writes_fail(Failure::None);
    world.gateway.advance("1h").await;
    until(async || !world.is_pending().await).await;
    world.new_pair_works().await;
    assert_eq!(world.wrong_pins_at_the_pbx(), 0);
}

/// R-B4: a PBX that never comes back is not asked for ever: after seven days the row is given up,
/// and the password stays.
#[tokio::test(flavor = "multi_thread")]
async fn after_seven_days_it_is_given_up() {
    let world = World::with_admin().await;
    world.writes_fail(Failure::Later(Duration::from_secs(360_000)));
    world.held().await.choose(NEW_PIN, PASSWORD).await;
    assert!(world.is_pending().await);
    world.gateway.advance("8d").await;
    until(async || !world.is_pending().await).await;
    assert_eq!(world.log_in(PASSWORD).await.location(), "/portal/home");
    assert_eq!(world.pbx.pin_of(&alice().login), alice().pin);
}

/// R-B4: a PIN whose fate was not known, and to which the PBX then says no, is given up at once: it
/// is not put before the PBX again and again for seven days. The password stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_pending_pin_that_is_refused_is_given_up() {
    let world = World::with_admin().await;
    world.writes_fail(Failure::Later(Duration::from_secs(360_000)));
    world.held().await.choose(NEW_PIN, PASSWORD).await;
    assert!(world.is_pending().await);
    world.writes_fail(Failure::Status(400));
    world.comes_to_an_end().await;
    assert_eq!(world.writes(), 2);
    assert_eq!(world.log_in(PASSWORD).await.location(), "/portal/home");
    assert_eq!(world.pbx.pin_of(&alice().login), alice().pin);
}

/// R-B6: a PIN that was changed elsewhere is refused by the PBX once while a new one is to be
/// written, not at every try; then the page asks for the present one.
#[tokio::test(flavor = "multi_thread")]
async fn a_pin_changed_elsewhere_is_tried_once_for_the_write() {
    let world = World::with("").await;
    let browser = world.held().await;
    assert!(world.pbx.0.set_pin(&alice().login, "90210"));
    world.pbx.0.expire_sessions();
    world.gateway.advance("16m").await;
    let choose = async |current: &str, pin: &str| {
        let csrf = browser.get("/account/set-password").await.input("csrf");
        let form = [
            ("csrf", csrf.as_str()),
            ("current_password", current),
            ("pin", pin),
            ("password", PASSWORD),
            ("confirm", PASSWORD),
        ];
        browser.post("/account/set-password", &form).await
    };
    for _ in 0..3 {
        let failed = choose(&alice().pin, NEW_PIN).await;
        assert_ne!(failed.status, 303, "{}", failed.location());
    }
    let wrong = || world.pbx.tried().into_iter().filter(|(pin, _)| *pin == alice().pin);
    assert_eq!(wrong().filter(|(_, accepted)| !accepted).count(), 1, "{:?}", world.pbx.tried());
    let page = browser.get("/account/set-password").await;
    assert!(!page.text().contains("name=\"current_password\""), "{}", page.text());
    let saved = choose("", "90210").await;
    assert_eq!(saved.location(), "/portal/home", "{}", saved.text());
}

/// R-B4 without an access of our own: the proof is a login, and the PBX sees at most one wrong PIN.
#[tokio::test(flavor = "multi_thread")]
async fn the_users_own_session_writes_and_a_login_proves() {
    let world = World::with("").await;
    world.pbx.0.fail_on_method("POST", "/portal/profile", Failure::CarriedOutThenClose);
    let saved = world.held().await.choose(NEW_PIN, PASSWORD).await;
    assert_eq!(saved.location(), "/portal/home", "{}", saved.text());
    world.new_pair_works().await;
    assert_eq!(world.wrong_pins_at_the_pbx(), 0);

    let world = World::with("").await;
    world.pbx.0.fail_on_method("POST", "/portal/profile", Failure::Close);
    let saved = world.held().await.choose(NEW_PIN, PASSWORD).await;
    assert_eq!(saved.location(), "/portal/home", "{}", saved.text());
    assert!(world.is_pending().await);
    assert_eq!(world.wrong_pins_at_the_pbx(), 1, "the one proof");
    world.pbx.0.fail_on_method("POST", "/portal/profile", Failure::None);
    world.gateway.advance("31s").await;
    until(async || !world.is_pending().await).await;
    world.new_pair_works().await;
}

/// R-B6: a PIN that was changed elsewhere is read where that is possible: the user notices nothing,
/// and the PBX sees one wrong PIN in all.
#[tokio::test(flavor = "multi_thread")]
async fn a_pin_changed_elsewhere_is_read() {
    let world = World::with_admin().await;
    world.held().await.choose(NEW_PIN, PASSWORD).await;
    assert!(world.pbx.0.set_pin(&alice().login, "90210"));
    for _ in 0..3 {
        assert_eq!(world.log_in(PASSWORD).await.location(), "/portal/home");
    }
    assert_eq!(world.wrong_pins_at_the_pbx(), 1);
}

/// R-B6: a record that shows a PIN which the PBX refuses is believed once, not at every login: the
/// PBX must not ban us.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_wrong_is_believed_once() {
    let profile = Profile::builtin("netsapiens").unwrap();
    let profile = Some(profile.replace("/voicemail-login-pin\"", "/user\""));
    let pbx = Pbx::start().await;
    let settings = Settings { profile, more: PORTAL_ADMIN.into(), ..Settings::default() };
    let world = World { gateway: Gateway::with(&pbx, settings).await, pbx };
    let browser = world.gateway.client().signed_in(&alice()).await;
    assert_eq!(browser.set_password(&alice().pin, PASSWORD).await.status, 303);
    assert!(world.pbx.0.set_pin(&alice().login, "90210"));
    for _ in 0..4 {
        assert_eq!(world.log_in(PASSWORD).await.location(), "/account/current-pin");
    }
    assert_eq!(world.wrong_pins_at_the_pbx(), 2, "the one on file, and the one on record");
    let browser = world.gateway.client();
    browser.log_in(&alice().login, PASSWORD).await;
    let csrf = browser.get("/account/current-pin").await.input("csrf");
    let form = [("csrf", csrf.as_str()), ("pin", "90210")];
    assert_eq!(browser.post("/account/current-pin", &form).await.location(), "/portal/home");
    assert_eq!(world.log_in(PASSWORD).await.location(), "/portal/home");
}

/// Secrets never reach the log, and the PBX's answers are counted.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_it_is_told() {
    let world = World::with_admin().await;
    world.writes_fail(Failure::CarriedOutThenClose);
    world.held().await.choose(NEW_PIN, PASSWORD).await;
    world.writes_fail(Failure::Status(400));
    let log = world.gateway.log();
    for secret in [NEW_PIN, PASSWORD, "730194", "0ff1ce-v01ce-5ecret"] {
        assert!(!log.contains(secret), "{secret} in the log:\n{log}");
    }
    let metrics = world.gateway.metrics().await;
    assert!(metrics.contains("passgate_pin_writebacks_total{result=\"unclear\"} 1"), "{metrics}");
}
