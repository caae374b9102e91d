//! What somebody tries who knows a PIN, sits at an open session, or makes noise.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use http::StatusCode;

use super::{ALICE, ALICES_PIN, EQUIPPED, PASSWORD, World};
use crate::domain::account::AccountId;
use crate::domain::login_name::LoginName;
use crate::domain::secret::Secret;
use crate::domain::session::{LiveSession, Progress, Standing};
use crate::flows::initial_password::issue;
use crate::flows::login::{LoginAttempt, LoginOutcome, log_in};
use crate::flows::{Outage, Services, accounts, challenge};
use crate::ports::{
    AccountChange, CredentialChange, HashError, NewPassword, PasswordHasher, Verified,
};

const CLIENT: [u8; 4] = [203, 0, 113, 7];

impl World {
    fn attempt(&self, login: LoginName, secret: &str) -> LoginAttempt {
        LoginAttempt {
            typed: login.to_string(),
            login: Some(login),
            secret: Secret::new(secret),
            carried: Vec::new(),
            channel: "page",
            client: CLIENT.into(),
            user_agent: "Test/1.0".into(),
            host: "portal.example.com".into(),
            language: None,
            device: None,
            current: None,
        }
    }

    async fn answered(&self, session: &Arc<LiveSession>) -> bool {
        let landing = Some("/portal/home".to_owned());
        challenge::answered(&self.services, session, CLIENT.into(), landing)
            .await
            .unwrap()
            .is_some()
    }
}

/// R-A5: a second spelling of a name, which the PBX's database may take for the first, is no new
/// account: the PBX is not even asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_alike_name_makes_no_account() {
    let world = World::new().await;
    world.with_password().await;
    world.portal.clear_record();
    for odd in ["1001@abc-company.11111.service\u{200b}", "1001@abc-company.11111.service."] {
        let name = LoginName::parse(odd).unwrap();
        let outcome = log_in(&world.services, world.attempt(name.clone(), ALICES_PIN)).await;
        assert!(matches!(outcome, Ok(LoginOutcome::Refused)), "{odd:?}: {outcome:?}");
        assert!(world.services.accounts.find(&name).await.unwrap().is_none());
    }
    assert!(world.portal.login_attempts().is_empty());
}

/// R-C5: a browser's own counter is given for the credential it proved. Who knew only the PIN has
/// gathered nothing for guessing the password that came after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_gathered_with_the_pin_end_with_it() {
    let world = World::new().await;
    let mut gathered = world.with_pin().await;
    let mut owner = world.with_password().await;
    for wrong in 0..5 {
        world.browser().sign_in(ALICE, &format!("Wrong-Guess-{wrong}")).await;
    }
    let page = gathered.sign_in(ALICE, "Wrong-Guess-6").await;
    assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS, "{}", page.text);
    owner.fill_in("/account/sign-out", &[]).await.leads_to("/portal/login");
    owner.sign_in(ALICE, PASSWORD).await.leads_to("/portal/home");
}

/// R-C5: strangers who lock the name do not keep its owner from setting a password.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_name_does_not_stop_its_owner_from_setting_a_password() {
    let world = World::new().await;
    let mut owner = world.with_pin().await;
    for wrong in 0..6 {
        world.browser().sign_in(ALICE, &format!("{wrong:05}")).await;
    }
    let fields = [("current_password", ALICES_PIN), ("password", PASSWORD), ("confirm", PASSWORD)];
    owner.fill_in("/account/security", &fields).await.leads_to("/account/security");
}

/// Nobody at an open session finds out the PIN by asking which passwords are refused for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rules_do_not_tell_the_pin() {
    let world = World::new().await;
    let mut browser = world.with_password().await;
    let with_pin = format!("Abc{ALICES_PIN}");
    let fields = |current| {
        [("current_password", current), ("password", with_pin.as_str()), ("confirm", &with_pin)]
    };
    let page = browser.fill_in("/account/security", &fields("Not-The-Password-1")).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN, "{}", page.text);
    assert!(page.said("alert").contains("wrong"), "{}", page.said("alert"));
    let page = browser.fill_in("/account/security", &fields(PASSWORD)).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", page.text);
}

/// A second question is answered once, and only for a session that still lives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_challenge_opens_one_session_and_none_after_its_end() {
    let world = World::new().await;
    world.portal.require_mfa(ALICE, true);
    let challenged = async || {
        let mut browser = world.browser();
        browser.sign_in(ALICE, ALICES_PIN).await.leads_to("/portal/login/mfa/1");
        let (session, standing) = browser.session().await.unwrap();
        assert_eq!(standing, Standing::Challenge);
        session
    };
    let session = challenged().await;
    assert!(world.answered(&session).await);
    assert!(!world.answered(&session).await, "answered in another tab already");

    let session = challenged().await;
    world.services.sessions.end(&session.record().id).await.unwrap();
    assert!(!world.answered(&session).await, "it was ended while the PBX thought");

    let session = challenged().await;
    let phc = world.services.hasher.hash(&Secret::new(PASSWORD)).await.unwrap();
    let epoch = session.record().epoch;
    let new = NewPassword { phc, at: world.services.clock.now(), expected_epoch: epoch };
    let change =
        CredentialChange { password: Some(new), ..CredentialChange::of(session.record().account) };
    assert!(world.services.credentials.commit(change).await.unwrap().is_some());
    assert!(!world.answered(&session).await, "the credential has changed");
}

/// R-B6: a PIN that the PBX has only asked a second question about is not kept before the answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_challenged_pin_is_kept_when_the_question_is_answered() {
    let world = World::new().await;
    let mut browser = world.with_password().await;
    let name = LoginName::parse(ALICE).unwrap();
    let refused = async || world.services.accounts.find(&name).await.unwrap().unwrap().pin_refused;
    let id = world.services.accounts.find(&name).await.unwrap().unwrap().id;
    world.services.accounts.change(id, AccountChange::PinRefused, None).await.unwrap();
    browser.fill_in("/account/sign-out", &[]).await;
    world.portal.require_mfa(ALICE, true);
    browser.sign_in(ALICE, PASSWORD).await.leads_to("/account/current-pin");
    browser
        .fill_in("/account/current-pin", &[("pin", ALICES_PIN)])
        .await
        .leads_to("/portal/login/mfa/1");
    assert!(refused().await, "nothing is proved yet");
    let (session, _) = browser.session().await.unwrap();
    assert_eq!(session.record().progress, Progress::Challenge);
    assert!(world.answered(&session).await);
    assert!(!refused().await);
}

/// A hasher that is busy whenever it is asked a second time.
struct Busy {
    hasher: Arc<dyn PasswordHasher>,
    asked: AtomicBool,
}

#[async_trait]
impl PasswordHasher for Busy {
    async fn hash(&self, _: &Secret) -> Result<String, HashError> {
        Err(HashError::Busy)
    }

    async fn verify(&self, password: &Secret, phc: &str) -> Result<Verified, HashError> {
        if self.asked.swap(true, Ordering::SeqCst) {
            return Err(HashError::Busy);
        }
        self.hasher.verify(password, phc).await
    }
}

/// R-C5: a password that was found wrong counts, also when the hasher has no time left to compare
/// it with the one before: else a flood would buy uncounted guesses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_hasher_gives_no_guess_back() {
    let world = World::new().await;
    let mut browser = world.with_password().await;
    let fields = [("current_password", PASSWORD), ("password", "Other-Harbour-8")];
    let fields = [fields[0], fields[1], ("confirm", "Other-Harbour-8")];
    browser.fill_in("/account/security", &fields).await.leads_to("/account/security");
    let name = LoginName::parse(ALICE).unwrap();
    let real = &world.services;
    let guess = async |number: usize| {
        let hasher = Arc::new(Busy { hasher: Arc::clone(&real.hasher), asked: false.into() });
        let services = Services { hasher, ..(**real).clone() };
        let attempt = world.attempt(name.clone(), &format!("Wrong-Guess-{number}"));
        log_in(&services, attempt).await
    };
    for number in 0..5 {
        let outcome = guess(number).await;
        assert!(matches!(outcome, Ok(LoginOutcome::Refused)), "{outcome:?}");
    }
    let outcome: Result<LoginOutcome, Outage> = guess(5).await;
    assert!(matches!(outcome, Ok(LoginOutcome::Locked { .. })), "{outcome:?}");
}

/// A hasher that needs so long that an administrator acts meanwhile.
struct Slow {
    services: Arc<Services>,
    account: AccountId,
    switched_off: bool,
}

#[async_trait]
impl PasswordHasher for Slow {
    async fn hash(&self, password: &Secret) -> Result<String, HashError> {
        self.services.hasher.hash(password).await
    }

    async fn verify(&self, password: &Secret, phc: &str) -> Result<Verified, HashError> {
        let verified = self.services.hasher.verify(password, phc).await;
        if self.switched_off {
            accounts::set_disabled(&self.services, self.account, true).await.unwrap();
            accounts::set_disabled(&self.services, self.account, false).await.unwrap();
        } else {
            issue(&self.services, self.account).await.unwrap().unwrap();
        }
        verified
    }
}

/// R-E1: an initial password that becomes void while it is checked opens nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_initial_password_that_was_void_meanwhile_opens_nothing() {
    let world = World::with(EQUIPPED).await;
    let name = LoginName::parse(ALICE).unwrap();
    let account = world.import_alice(None).await.id;
    for switched_off in [false, true] {
        let issued = issue(&world.services, account).await.unwrap().unwrap();
        let slow = Slow { services: Arc::clone(&world.services), account, switched_off };
        let services = Services { hasher: Arc::new(slow), ..(*world.services).clone() };
        let attempt = world.attempt(name.clone(), issued.password.expose());
        let outcome = log_in(&services, attempt).await;
        assert!(matches!(outcome, Ok(LoginOutcome::Refused)), "{outcome:?}");
        assert!(world.services.sessions.of_account(account).await.unwrap().is_empty());
    }
}

/// security.md "a PIN session that tries to set the e-mail address": an address that was typed where
/// there was none takes no place of one that came on file before its mail could leave.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_typed_with_a_pin_replaces_none() {
    let world = World::with(EQUIPPED).await;
    let mut intruder = world.held().await;
    let fields = [
        ("pin", "80246"),
        ("password", PASSWORD),
        ("confirm", PASSWORD),
        ("email", "intruder@evil.example"),
    ];
    intruder.fill_in("/account/set-password", &fields).await.leads_to("/portal/home");
    // The intruder's mail server says "later" for as long as it likes.
    world.address("alice@corp.example").await;
    let mails = world.mails().await;
    assert!(mails.iter().all(|mail| mail.to != "intruder@evil.example"));
    assert_eq!(world.alice().await.email.as_deref(), Some("alice@corp.example"));
}

/// The proof of a login holds for a quarter of an hour, however the clock is moved.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_put_back_makes_no_proof_hold_longer() {
    let world = World::with(EQUIPPED).await;
    let mut browser = world.held().await;
    world.pass_minutes(-60);
    let page = browser.get("/account/set-password").await;
    assert!(page.fields().contains(&"current_password".to_owned()), "{:?}", page.fields());
}

/// security.md "a PIN session that tries to set the e-mail address; a challenge half-finished": who
/// knows a PIN sends the field that the page does not show, or the form before the second question
/// is answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pin_changes_no_address_and_half_a_login_nothing() {
    let fields = [
        ("pin", "80246"),
        ("password", PASSWORD),
        ("confirm", PASSWORD),
        ("email", "intruder@evil.example"),
    ];
    let world = World::with(EQUIPPED).await;
    world.import_alice(Some("alice@corp.example")).await;
    let mut intruder = world.held().await;
    let page = intruder.get("/account/set-password").await;
    assert!(!page.fields().contains(&"email".to_owned()), "{:?}", page.fields());
    intruder.send_form(&page, "/account/set-password", &fields).await.leads_to("/portal/home");
    let to: Vec<_> = world.mails().await.into_iter().map(|mail| mail.to).collect();
    assert_eq!(to, ["alice@corp.example"], "its owner is told of the password, and nobody else");

    let world = World::with(EQUIPPED).await;
    world.portal.require_mfa(ALICE, true);
    world.pass(15);
    let mut intruder = world.browser();
    let challenged = intruder.sign_in(ALICE, ALICES_PIN).await;
    challenged.leads_to("/portal/login/mfa/1");
    for (page, script) in
        [("set-password", false), ("set-password", true), ("security", false), ("security", true)]
    {
        intruder.script = script;
        let csrf = [("csrf", ""), ("current_password", ALICES_PIN)];
        let sent: Vec<_> = csrf.into_iter().chain(fields).collect();
        let answer = intruder.post(&format!("/account/{page}"), &sent).await;
        let refused = answer.status == StatusCode::UNAUTHORIZED
            || answer.header("location").starts_with("/account/login");
        assert!(refused, "{page} {answer:?}");
    }
    assert!(world.alice().await.password.is_none());
    assert_eq!(world.portal.user(ALICE).unwrap().pin, ALICES_PIN);
}
