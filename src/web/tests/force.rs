//! The force phase: a portal password and the voicemail PIN are declared before anything else
//! (R-A3, R-B4).

use http::StatusCode;
use jiff::SignedDuration;

use super::desk::Manner;
use super::{ALICE, ALICES_PIN, EQUIPPED, PASSWORD, Setup, World};
use crate::demo::portal::Failure;
use crate::domain::account::SealedPin;
use crate::domain::mail::MailKind;
use crate::domain::pin_journal::{JournalEntry, Stage};
use crate::domain::session::Standing;
use crate::flows::RolloutRules;
use crate::web::cookies;

const PAGE: &str = "/account/set-password";
const NEW_PIN: &str = "902184";

fn choice(pin: &str) -> [(&'static str, &str); 3] {
    [("pin", pin), ("password", PASSWORD), ("confirm", PASSWORD)]
}

/// R-A3, interfaces.md "Autocomplete": the PIN above the password and out of the password manager's
/// way, the password for its login name, and an address where there is none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_asks_for_a_pin_a_password_and_an_address() {
    let world = World::with(EQUIPPED).await;
    let mut browser = world.held().await;
    let page = browser.get(PAGE).await;
    assert_eq!(page.fields(), ["pin", "password", "confirm", "email"]);
    assert!(page.words().contains(
        "Choose a portal password to continue, and confirm your voicemail PIN: it is only for \
         listening to messages."
    ));
    assert!(page.words().contains("Voicemail PIN: the same again or a new one"));
    assert!(page.words().contains("4 to 16 digits. Not 1234, 1111 or the like"));

    let pin = page.field("pin");
    assert_eq!((pin["type"].as_str(), pin["inputmode"].as_str()), ("text", "numeric"));
    assert_eq!((pin["autocomplete"].as_str(), pin["class"].as_str()), ("off", "pin"));
    assert!(pin.contains_key("required") && !pin.contains_key("value"));
    for name in ["password", "confirm"] {
        let field = page.field(name);
        assert_eq!((&*field["type"], &*field["autocomplete"]), ("password", "new-password"));
    }
    let email = page.field("email");
    assert_eq!((email["type"].as_str(), email["autocomplete"].as_str()), ("email", "email"));
    assert!(!email.contains_key("required"), "it may be left out");
    let user = page.field("username");
    assert_eq!((&*user["autocomplete"], &*user["value"]), ("username", ALICE));
    assert!(user.contains_key("hidden"));
}

/// What is not possible, or not wanted, is not asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_asks_for_nothing_that_cannot_be() {
    let world = World::new().await;
    let page = world.held().await.get(PAGE).await;
    assert_eq!(page.fields(), ["pin", "password", "confirm"], "e-mail is off");
    assert!(page.words().contains("The one you use now. It cannot be changed here."));

    let rules = RolloutRules { redeclare_pin: false, ..EQUIPPED.rules };
    let world = World::with(Setup { rules, ..EQUIPPED }).await;
    let mut browser = world.held().await;
    world.address("alice@corp.example").await;
    let page = browser.get(PAGE).await;
    assert_eq!(page.fields(), ["password", "confirm"], "the address is known");
    assert!(page.words().contains("Your voicemail PIN stays as it is"));
    let fields = [("password", PASSWORD), ("confirm", PASSWORD)];
    browser.send_form(&page, PAGE, &fields).await.leads_to("/portal/home");
    assert!(browser.message().contains("Voicemail: keep using your PIN."));
}

/// R-A3, R-B4: on saving they are in the portal; the PBX has the new PIN, and it is the one that is
/// replayed from then on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_pin_is_declared_with_the_password() {
    let world = World::with(EQUIPPED).await;
    let mut browser = world.held().await;
    let before = browser.cookies[cookies::SESSION].clone();
    browser.fill_in(PAGE, &choice(NEW_PIN)).await.leads_to("/portal/home");
    assert_ne!(browser.cookies[cookies::SESSION], before, "a new session id");
    assert_eq!(browser.session().await.unwrap().1, Standing::Full { notice: false });
    assert!(browser.message().contains("Voicemail: use the new voicemail PIN from now on."));
    assert_eq!(world.portal.user(ALICE).unwrap().pin, NEW_PIN);

    for pin in [ALICES_PIN, NEW_PIN] {
        assert_eq!(world.browser().sign_in(ALICE, pin).await.status, StatusCode::FORBIDDEN);
    }
    world.browser().sign_in(ALICE, PASSWORD).await.leads_to("/portal/home");
    let mut late = world.browser();
    late.cookies.insert(cookies::SESSION.into(), before);
    assert!(late.session().await.is_none(), "the held session has ended");
}

/// R-A3: the same PIN may be declared again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_pin_may_be_declared_again() {
    let world = World::with(EQUIPPED).await;
    let mut browser = world.held().await;
    browser.fill_in(PAGE, &choice(ALICES_PIN)).await.leads_to("/portal/home");
    assert_eq!(
        browser.message(),
        "Saved. Use the portal password in the softphone, apps and API code too. Voicemail: keep \
         using your PIN. Desk phones: nothing changes."
    );
}

/// R-B4: an answer that is lost leaves the PIN pending; the password is valid, and the page says
/// which PIN works until then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pin_that_is_not_there_yet_is_said() {
    let world = World::with(EQUIPPED).await;
    world.desk.set(Manner::Loses);
    let mut browser = world.held().await;
    browser.fill_in(PAGE, &choice(NEW_PIN)).await.leads_to("/portal/home");
    let message = browser.message();
    assert!(
        message.contains(
            "The phone system is still taking over your new voicemail PIN; until then the one \
             before works."
        ),
        "{message}"
    );
    world.browser().sign_in(ALICE, PASSWORD).await.leads_to("/portal/home");
}

/// R-B4: a refused PIN changes nothing and can be tried again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_pin_can_be_tried_again() {
    let world = World::with(EQUIPPED).await;
    world.desk.set(Manner::Refuses);
    let mut browser = world.held().await;
    let page = browser.fill_in(PAGE, &choice(NEW_PIN)).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        page.said("alert"),
        "The phone system does not take this voicemail PIN. Nothing was changed. Please try again, \
         or choose another one."
    );
    assert_eq!(page.wrong_fields(), ["pin"]);
    assert!(world.alice().await.password.is_none());
    world.desk.set(Manner::Writes);
    browser.send_form(&page, PAGE, &choice(NEW_PIN)).await.leads_to("/portal/home");
}

/// R-B4: a second tab meets a friendly conflict, and a way back to the portal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_tab_is_told_to_wait() {
    let world = World::with(EQUIPPED).await;
    let mut browser = world.held().await;
    let account = world.alice().await;
    let now = world.services.clock.now();
    let first_tab = JournalEntry {
        account: account.id,
        stage: Stage::Writing,
        phc: Some("$argon2id$…".into()),
        epoch: account.epoch,
        old: account.pin.clone(),
        new: SealedPin(vec![1, 2, 3]),
        holder: world.services.process,
        began_at: now,
        attempts: 0,
        next_attempt_at: now + SignedDuration::from_mins(10),
    };
    world.services.credentials.begin(first_tab).await.unwrap();
    let page = browser.fill_in(PAGE, &choice(NEW_PIN)).await;
    assert_eq!(page.status, StatusCode::CONFLICT);
    assert_eq!(
        page.said("alert"),
        "Your portal password is being saved in another window at this moment. Please wait a \
         moment, then open the portal again."
    );
    assert_eq!(page.fields(), [""; 0], "there is nothing to fill in");
    assert!(page.tags("a").iter().any(|link| link["href"] == "/portal/home"));
    assert_eq!(world.portal.user(ALICE).unwrap().pin, ALICES_PIN);
}

/// R-B1, R-B3: every broken rule of both is named in one go; what was typed as an address is kept,
/// secrets are not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_rules_of_both_are_named() {
    let world = World::with(EQUIPPED).await;
    let mut browser = world.held().await;
    let address = "jane\"><script>@corp.example";
    let fields =
        [("pin", "1234"), ("password", "short"), ("confirm", "short"), ("email", "a@b.example")];
    let page = browser.fill_in(PAGE, &fields).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        page.said("alert"),
        "Please choose another voicemail PIN: It is one of the most frequently used voicemail \
         PINs. Its digits must not follow one another, like 3456. Please choose another portal \
         password: It needs at least 8 characters. It needs at least 1 capital letter. It needs at \
         least 1 digit."
    );
    assert_eq!(page.wrong_fields(), ["pin", "password"]);
    assert_eq!(page.text.matches("autofocus").count(), 1);
    assert!(page.field("pin").contains_key("autofocus"), "from the top");
    assert_eq!(page.field("email")["value"], "a@b.example");
    assert!(!page.text.contains("\"1234\"") && !page.text.contains("short"));

    for (pin, said) in [
        ("90a1", "It may only have digits."),
        ("9", "It needs at least 4 digits."),
        ("90218490218490217", "It may have at most 16 digits."),
        ("7777", "It must not repeat itself, like 7777 or 2727."),
        ("1001", "It must not be your extension."),
    ] {
        let page = browser.fill_in(PAGE, &choice(pin)).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{pin}");
        assert!(page.said("alert").contains(said), "{pin}: {}", page.said("alert"));
        assert_eq!(page.wrong_fields(), ["pin"]);
        assert!(!page.text.contains(&format!("value=\"{pin}\"")));
    }
    let with_evil: Vec<_> = choice(NEW_PIN).into_iter().chain([("email", address)]).collect();
    let page = browser.fill_in(PAGE, &with_evil).await;
    assert_eq!(page.field("email")["value"], address);
    assert!(!page.text.contains("<script>"));
    assert!(world.alice().await.password.is_none());
}

/// What is missing or does not match is said at its field; nothing is counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slips_are_said_at_their_field() {
    let world = World::with(EQUIPPED).await;
    let mut browser = world.held().await;
    world.portal.clear_record();
    for (more, said, wrong) in [
        (("pin", ""), "Enter your voicemail PIN.", vec!["pin"]),
        (("pin_confirm", "902185"), "The two voicemail PINs are not the same.", vec!["pin"]),
        (
            ("confirm", "Other-1-Words"),
            "The two new portal passwords are not the same.",
            vec!["confirm"],
        ),
        (("email", "jane"), "This is no e-mail address.", vec!["email"]),
        (("password", ""), "Please fill in all fields.", vec![]),
    ] {
        let mut fields = choice(NEW_PIN).to_vec();
        fields.retain(|(name, _)| *name != more.0);
        fields.push(more);
        let page = browser.fill_in(PAGE, &fields).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{more:?}");
        assert!(page.said("alert").starts_with(said), "{more:?}: {}", page.said("alert"));
        assert_eq!(page.wrong_fields(), wrong, "{more:?}");
        assert!(!page.text.contains(NEW_PIN) && !page.text.contains(PASSWORD));
    }
    assert!(world.portal.login_attempts().is_empty());
    let mut fields = choice(NEW_PIN).to_vec();
    fields.push(("pin_confirm", NEW_PIN));
    browser.fill_in(PAGE, &fields).await.leads_to("/portal/home");
}

/// R-A3: an address that is given is confirmed by a link before it is on file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_is_confirmed_by_a_link() {
    let world = World::with(EQUIPPED).await;
    let mut browser = world.held().await;
    let mut fields = choice(ALICES_PIN).to_vec();
    fields.push(("email", " alice@corp.example "));
    browser.fill_in(PAGE, &fields).await.leads_to("/portal/home");
    assert!(
        browser
            .message()
            .ends_with("We sent a link to alice@corp.example; open it to confirm the address."),
        "it is said"
    );
    assert_eq!(world.alice().await.email, None, "not on file yet");
    let mails = world.mails().await;
    assert_eq!(
        (mails.len(), &*mails[0].to, mails[0].kind),
        (1, "alice@corp.example", MailKind::ConfirmEmail)
    );
}

/// Long after the login somebody else may sit before the page: the present PIN is asked for, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_login_is_proved_again() {
    let world = World::with(EQUIPPED).await;
    let mut browser = world.held().await;
    world.pass_minutes(16);
    let page = browser.get(PAGE).await;
    assert_eq!(page.fields(), ["current_password", "pin", "password", "confirm", "email"]);
    for _ in 0..6 {
        let page = browser.send_form(&page, PAGE, &choice(NEW_PIN)).await;
        assert_eq!(
            (page.status.as_u16(), page.said("alert").as_str()),
            (422, "Enter your voicemail PIN.")
        );
        assert_eq!(page.wrong_fields(), ["current_password"], "and nothing is counted");
    }
    let with = |current: &'static str| {
        let mut fields = choice(NEW_PIN).to_vec();
        fields.push(("current_password", current));
        fields
    };
    let page = browser.send_form(&page, PAGE, &with("55512")).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert_eq!(page.said("alert"), "The voicemail PIN is wrong. Nothing was changed.");
    assert_eq!(page.wrong_fields(), ["current_password"]);
    browser.send_form(&page, PAGE, &with(ALICES_PIN)).await.leads_to("/portal/home");
    assert_eq!(world.portal.user(ALICE).unwrap().pin, NEW_PIN);

    // A PIN that is confirmed anyway is not asked for twice.
    let world = World::new().await;
    let mut browser = world.held().await;
    world.pass_minutes(16);
    assert_eq!(browser.get(PAGE).await.fields(), ["pin", "password", "confirm"]);
    browser.fill_in(PAGE, &choice(ALICES_PIN)).await.leads_to("/portal/home");
}

/// R-C5: a confirmed PIN cannot be guessed here either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_are_counted() {
    let world = World::new().await;
    let mut browser = world.held().await;
    for guess in 0..5 {
        let page = browser.fill_in(PAGE, &choice(&format!("5551{guess}"))).await;
        assert_eq!((page.status, page.wrong_fields()), (StatusCode::FORBIDDEN, vec!["pin".into()]));
    }
    let page = browser.fill_in(PAGE, &choice(ALICES_PIN)).await;
    assert_eq!((page.status, page.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "900"));
    assert_eq!(page.said("alert"), "Too many attempts. Wait 15 minutes, then try again.");
}

/// What was saved stays saved while the PBX is down; the page that says so does not need it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn saved_while_the_portal_is_silent() {
    let world = World::with(EQUIPPED).await;
    let mut browser = world.held().await;
    browser.asks_for("/portal/calls");
    world.pass_minutes(16);
    let page = browser.get(PAGE).await;
    world.portal.fail_with(Failure::Close);
    let mut fields = choice(ALICES_PIN).to_vec();
    fields.push(("current_password", ALICES_PIN));
    browser.send_form(&page, PAGE, &fields).await.leads_to("/account/login");
    assert!(!browser.cookies.contains_key(cookies::SESSION));
    let page = browser.get("/account/login").await;
    assert_eq!(
        page.said("status"),
        "Your portal password is saved. The phone system's portal does not answer right now; \
         please sign in with your portal password in a minute."
    );
    assert_eq!(page.field("login")["value"], ALICE);
    world.portal.fail_with(Failure::None);
    let fields = [("login", ALICE), ("password", PASSWORD)];
    browser.send_form(&page, "/account/login", &fields).await.leads_to("/portal/calls");
}

/// A session whose account was switched off meanwhile changes nothing any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_account_of_a_held_session_may_be_gone() {
    use crate::ports::AccountChange;
    let world = World::with(EQUIPPED).await;
    let mut browser = world.held().await;
    let page = browser.get(PAGE).await;
    let account = world.alice().await;
    let change = AccountChange::Disabled(true);
    world.services.accounts.change(account.id, change, None).await.unwrap();
    browser.send_form(&page, PAGE, &choice(NEW_PIN)).await.leads_to("/account/login");
    assert_eq!(world.portal.user(ALICE).unwrap().pin, ALICES_PIN);
}

/// Scripts get the same in JSON.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_are_told_in_json() {
    let world = World::with(EQUIPPED).await;
    let mut browser = world.held().await;
    let page = browser.get(PAGE).await;
    browser.script = true;
    let refused = browser.send_form(&page, PAGE, &choice("1234")).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let problem: serde_json::Value = serde_json::from_str(&refused.text).unwrap();
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.starts_with("Please choose another voicemail PIN: It is one of"), "{detail}");
    let saved = browser.send_form(&page, PAGE, &choice(NEW_PIN)).await;
    assert_eq!(saved.text, r#"{"location":"/portal/home"}"#);
}
