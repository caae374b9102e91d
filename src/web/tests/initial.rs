//! One-time initial passwords (R-E1): what they open, what they do not, and when they end.

use http::StatusCode;
use jiff::Timestamp;

use super::browser::Browser;
use super::desk::Manner;
use super::{ALICE, ALICES_PIN, EQUIPPED, PASSWORD, Setup, World};
use crate::domain::initial_password::{INITIAL_LIFE, StoredInitial};
use crate::domain::mail::MailKind;
use crate::domain::secret::Secret;
use crate::domain::session::Standing;
use crate::flows::initial_password::{NotIssued, issue};
use crate::flows::{RolloutRules, accounts};
use crate::ports::AccountChange;

const PAGE: &str = "/account/set-password";
const NEW_PIN: &str = "902184";
const OTHER: &str = "Green-Lantern-31-Oak";

fn choice(password: &'static str) -> [(&'static str, &'static str); 3] {
    [("pin", NEW_PIN), ("password", password), ("confirm", password)]
}

/// Issues one for Alice; as it is read out.
async fn issued(world: &World) -> String {
    let id = world.alice().await.id;
    let issued = issue(&world.services, id).await.unwrap().unwrap();
    assert_eq!(
        issued.expires_at,
        world.services.clock.now() + jiff::SignedDuration::from_hours(72)
    );
    issued.password.expose().to_owned()
}

/// A browser that signed in with it.
async fn replacing<'w>(world: &'w World, initial: &str) -> Browser<'w> {
    let mut browser = world.browser();
    browser.sign_in(ALICE, initial).await.leads_to(PAGE);
    assert_eq!(browser.session().await.unwrap().1, Standing::Held);
    browser
}

async fn refused(world: &World, secret: &str) {
    let page = world.browser().sign_in(ALICE, secret).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN, "{page:?}");
}

/// R-E1: "must be replaced at first login, together with the PIN", in every phase, though the
/// phase may let no PIN in, and though the rollout may keep PINs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_replaced_in_every_phase() {
    let rules = RolloutRules { redeclare_pin: false, ..EQUIPPED.rules };
    for days in [0, 15, 29] {
        let world = World::with(Setup { rules, ..EQUIPPED }).await;
        world.with_pin().await;
        world.pass(days);
        let initial = issued(&world).await;
        let mut browser = replacing(&world, &initial).await;
        let page = browser.get(PAGE).await;
        assert_eq!(page.fields(), ["pin", "password", "confirm", "email"], "day {days}");
        assert!(page.words().contains("Choose a portal password of your own"), "day {days}");
        browser.send_form(&page, PAGE, &choice(PASSWORD)).await.leads_to("/portal/home");
        assert_eq!(browser.session().await.unwrap().1, Standing::Full { notice: false });
        assert_eq!(world.portal.user(ALICE).unwrap().pin, NEW_PIN, "day {days}");
        world.browser().sign_in(ALICE, PASSWORD).await.leads_to("/portal/home");
        // Used up.
        refused(&world, &initial).await;
        refused(&world, NEW_PIN).await;
    }
}

/// R-E1: however it is typed after it was heard.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_understood_as_it_was_heard() {
    let world = World::with(EQUIPPED).await;
    world.with_pin().await;
    let initial = issued(&world).await;
    replacing(&world, &initial.to_uppercase()).await;
    replacing(&world, &initial.replace('-', " ")).await;
    replacing(&world, &initial.replace('-', "")).await;
}

/// The portal password, and the sessions that it opened, stay until another one is set: an issued
/// initial password alone takes nothing away from the account's owner.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_old_password_works_until_it_is_replaced() {
    let world = World::with(EQUIPPED).await;
    let owner = world.with_password().await;
    let initial = issued(&world).await;
    assert!(owner.session().await.is_some());
    world.browser().sign_in(ALICE, PASSWORD).await.leads_to("/portal/home");
    let mut browser = replacing(&world, &initial).await;
    world.browser().sign_in(ALICE, PASSWORD).await.leads_to("/portal/home");

    browser.fill_in(PAGE, &choice(OTHER)).await.leads_to("/portal/home");
    assert!(owner.session().await.is_none(), "it ended with the new password (R-C8)");
    refused(&world, PASSWORD).await;
    world.browser().sign_in(ALICE, OTHER).await.leads_to("/portal/home");
}

/// R-A5 speaks of a portal password: an account with nothing but an initial one is still one with a
/// PIN, by the rules of the phase.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pin_follows_the_phase_as_before() {
    let world = World::with(EQUIPPED).await;
    let mut before = world.with_pin().await;
    issued(&world).await;
    assert_eq!(before.session().await.unwrap().1, Standing::Full { notice: true });
    world.browser().sign_in(ALICE, ALICES_PIN).await.leads_to("/portal/home");
    // And it is the PIN, not the initial password, that sets a first password there.
    let fields = [("current_password", ALICES_PIN), ("password", PASSWORD), ("confirm", PASSWORD)];
    before.fill_in("/account/security", &fields).await.leads_to("/account/security");
    assert!(world.alice().await.initial_password.is_none(), "void with the password set");
}

/// R-E1, R-C5: a wrong or expired one is refused and counted; it is never tried as a PIN (R-B5).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_and_expired_ones_are_counted() {
    let world = World::with(EQUIPPED).await;
    world.with_pin().await;
    let initial = issued(&world).await;
    world.clock.advance(jiff::SignedDuration::from_hours(72));
    world.portal.clear_record();
    refused(&world, &initial).await;
    let wrong = if initial.starts_with('f') { "h" } else { "f" };
    for _ in 0..4 {
        refused(&world, &format!("{wrong}{}", &initial[1..])).await;
    }
    let tried = world.portal.record().iter().any(|request| request.method == "POST");
    assert!(!tried, "{:?}", world.portal.record());
    let anew = issued(&world).await;
    let locked = world.browser().sign_in(ALICE, &anew).await;
    assert_eq!(locked.status, StatusCode::TOO_MANY_REQUESTS, "the lock holds for it, too");
    let view = issue(&world.services, world.alice().await.id).await.unwrap().unwrap();
    let until = view.locked_until.expect("whoever issues one is told");
    assert!(until > Timestamp::UNIX_EPOCH && until > world.services.clock.now());
    world.pass_minutes(15);
    replacing(&world, view.password.expose()).await;
}

/// R-E1: void when another one is issued, when a password is set, when the account is switched off;
/// pages that were open then do not work any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_void_when_overtaken() {
    let world = World::with(EQUIPPED).await;
    world.with_pin().await;
    let first = issued(&world).await;
    let mut open = replacing(&world, &first).await;
    let page = open.get(PAGE).await;
    let second = issued(&world).await;
    refused(&world, &first).await;
    assert!(open.session().await.is_none(), "the session of the one before has ended");
    open.send_form(&page, PAGE, &choice(PASSWORD)).await;
    assert!(world.alice().await.password.is_none());

    let mut open = replacing(&world, &second).await;
    let page = open.get(PAGE).await;
    let id = world.alice().await.id;
    accounts::set_disabled(&world.services, id, true).await.unwrap();
    refused(&world, &second).await;
    assert_eq!(issue(&world.services, id).await.unwrap().unwrap_err(), NotIssued::Disabled);
    accounts::set_disabled(&world.services, id, false).await.unwrap();
    refused(&world, &second).await;
    open.send_form(&page, PAGE, &choice(PASSWORD)).await;
    assert!(world.alice().await.password.is_none());

    // By two browsers at once it is used once.
    let third = issued(&world).await;
    let (mut one, mut two) = (replacing(&world, &third).await, replacing(&world, &third).await);
    let late = two.get(PAGE).await;
    one.fill_in(PAGE, &choice(PASSWORD)).await.leads_to("/portal/home");
    two.send_form(&late, PAGE, &choice(OTHER)).await;
    world.browser().sign_in(ALICE, PASSWORD).await.leads_to("/portal/home");
    refused(&world, OTHER).await;
}

/// It does not become the portal password itself, however the rules are, and it is not the "present
/// portal password" of any other page.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_cannot_stay() {
    let world = World::with(EQUIPPED).await;
    let mut owner = world.with_password().await;
    let initial = issued(&world).await;
    let fields = [("current_password", initial.as_str()), ("password", OTHER), ("confirm", OTHER)];
    let page = owner.fill_in("/account/security", &fields).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);

    let mut browser = replacing(&world, &initial).await;
    // In capitals, it would keep the rules.
    let same = initial.to_uppercase() + " ";
    let fields = [("pin", NEW_PIN), ("password", same.as_str()), ("confirm", same.as_str())];
    let page = browser.fill_in(PAGE, &fields).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.said("alert").contains("one-time initial password"), "{}", page.said("alert"));
    browser.send_form(&page, PAGE, &choice(OTHER)).await.leads_to("/portal/home");
}

/// The page does not stay open for whoever sits down before it later; the password still works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_session_is_short() {
    let world = World::with(EQUIPPED).await;
    world.with_pin().await;
    let initial = issued(&world).await;
    let mut browser = replacing(&world, &initial).await;
    world.pass_minutes(29);
    assert_eq!(browser.session().await.unwrap().1, Standing::Held);
    // R-C4: that is told before, and no button puts it off.
    for told in [browser.get("/account/session").await, browser.post("/account/session", &[]).await]
    {
        let told: serde_json::Value = serde_json::from_str(&told.text).unwrap();
        assert_eq!((&told["ends_in"], &told["stays"]), (&60.into(), &false.into()));
        let text = told["text"].as_str().unwrap();
        assert!(text.contains("30 minutes after signing in"), "{text}");
    }
    world.pass_minutes(1);
    assert_eq!(browser.session().await.unwrap().1, Standing::Ended);
    // However the clock is moved.
    let browser = replacing(&world, &initial).await;
    world.pass_minutes(-31);
    assert_eq!(browser.session().await.unwrap().1, Standing::Ended);
    let mut again = replacing(&world, &initial).await;
    // Nobody who was given an initial password is asked for the PIN as a proof.
    world.pass_minutes(20);
    assert_eq!(again.get(PAGE).await.fields(), ["pin", "password", "confirm", "email"]);
    again.fill_in(PAGE, &choice(PASSWORD)).await.leads_to("/portal/home");
}

/// A user whom Passgate has never seen signed in: imported, then called by support. The PIN that
/// they choose is written, and opens the portal. Where no PIN can be written, none is asked for,
/// and the present one is asked for afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_never_seen_before_gets_in() {
    let world = World::with(EQUIPPED).await;
    world.import_alice(None).await;
    let mut browser = replacing(&world, &issued(&world).await).await;
    browser.fill_in(PAGE, &choice(PASSWORD)).await.leads_to("/portal/home");
    assert_eq!(world.portal.user(ALICE).unwrap().pin, NEW_PIN);

    let world = World::new().await;
    world.import_alice(None).await;
    let mut browser = replacing(&world, &issued(&world).await).await;
    let page = browser.get(PAGE).await;
    assert_eq!(page.fields(), ["password", "confirm"]);
    let fields = [("password", PASSWORD), ("confirm", PASSWORD)];
    browser.send_form(&page, PAGE, &fields).await.leads_to("/account/current-pin");
    assert_eq!(browser.session().await.unwrap().1, Standing::PinNeeded);
    browser.fill_in("/account/current-pin", &[("pin", ALICES_PIN)]).await.leads_to("/portal/home");
}

/// R-B4: a PIN that the PBX does not take leaves everything as it was, the initial password too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_pin_uses_nothing_up() {
    let world = World::with(EQUIPPED).await;
    world.with_pin().await;
    let initial = issued(&world).await;
    let mut browser = replacing(&world, &initial).await;
    world.desk.set(Manner::Refuses);
    let page = browser.fill_in(PAGE, &choice(PASSWORD)).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    world.desk.set(Manner::Writes);
    replacing(&world, &initial)
        .await
        .fill_in(PAGE, &choice(PASSWORD))
        .await
        .leads_to("/portal/home");
}

/// R-C5: a browser's own counter is given for the portal password, or the PIN. Whoever only
/// overheard an initial password has gathered nothing for guessing after it is void.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_gives_no_counter_of_its_own() {
    let world = World::with(EQUIPPED).await;
    let mut owner = world.with_password().await;
    let mut thief = replacing(&world, &issued(&world).await).await;
    issued(&world).await;
    for wrong in 0..5 {
        refused(&world, &format!("Wrong-Guess-{wrong}")).await;
    }
    let page = thief.sign_in(ALICE, "Wrong-Guess-6").await;
    assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS, "{}", page.text);
    // The owner's browser keeps its own, whatever it was used for since.
    owner.fill_in("/account/sign-out", &[]).await.leads_to("/portal/login");
    let initial = issued(&world).await;
    owner.sign_in(ALICE, &initial).await.leads_to(PAGE);
    owner.fill_in("/account/sign-out", &[]).await.leads_to("/portal/login");
    owner.sign_in(ALICE, PASSWORD).await.leads_to("/portal/home");
}

/// R-C5: who has an initial password guesses the portal password (or the PIN) beside it no more
/// often than anybody else. When it was replaced, the guesses are of no account any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_gives_no_guess_back() {
    let world = World::with(EQUIPPED).await;
    world.with_password().await;
    let initial = issued(&world).await;
    for wrong in 0..4 {
        refused(&world, &format!("Wrong-Guess-{wrong}")).await;
    }
    let mut browser = replacing(&world, &initial).await;
    refused(&world, "Wrong-Guess-4").await;
    let page = world.browser().sign_in(ALICE, &initial).await;
    assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS, "{}", page.text);

    browser.fill_in(PAGE, &choice(OTHER)).await.leads_to("/portal/home");
    world.browser().sign_in(ALICE, OTHER).await.leads_to("/portal/home");
}

/// R-E1: it is known to whoever issued it. It becomes the portal password by no other way either:
/// not with the portal password or the PIN as proof, and not by a link.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_stays_by_no_other_way() {
    let world = World::with(EQUIPPED).await;
    let mut owner = world.with_pin().await;
    world.address("alice@corp.example").await;
    let link = format!("/account/reset?code={}", world.mailed(MailKind::Reset).await);
    let initial = issued(&world).await.to_uppercase();
    let new = [("password", initial.as_str()), ("confirm", &initial)];
    let with_proof = [("current_password", ALICES_PIN), new[0], new[1]];
    let page = owner.fill_in("/account/security", &with_proof).await;
    assert!(page.said("alert").contains("one-time initial password"), "{}", page.said("alert"));
    let mut reader = world.browser();
    let page = reader.get(&link).await;
    let page = reader.send_form(&page, "/account/reset", &new).await;
    assert!(page.said("alert").contains("one-time initial password"), "{}", page.said("alert"));
    assert!(world.alice().await.password.is_none());
    reader.send_form(&page, "/account/reset", &choice(PASSWORD)).await.leads_to("/portal/home");
}

/// R-B5: mistyped where the PIN is asked for, it is not sent to the PBX, though it may happen to
/// look like a PIN.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_tried_nowhere_as_a_pin() {
    let world = World::with(EQUIPPED).await;
    let mut owner = world.with_pin().await;
    let phc = world.services.hasher.hash(&Secret::new("2346789223467892")).await.unwrap();
    let expires_at = world.services.clock.now() + INITIAL_LIFE;
    let change = AccountChange::InitialPassword(StoredInitial { phc, expires_at });
    world.services.accounts.change(world.alice().await.id, change, None).await.unwrap();
    world.portal.clear_record();
    for typed in ["2346789223467892", "2346789223467893"] {
        let fields = [("current_password", typed), ("password", OTHER), ("confirm", OTHER)];
        let page = owner.fill_in("/account/security", &fields).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{}", page.text);
    }
    assert!(world.portal.login_attempts().is_empty(), "{:?}", world.portal.login_attempts());
    replacing(&world, "2346789223467892").await;
}

/// R-E1: "must be replaced": a session that it opened changes nothing on any other page of ours,
/// also when the form is sent without its page.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_other_page_takes_its_forms() {
    let world = World::with(EQUIPPED).await;
    let owner = world.with_password().await;
    let mut browser = replacing(&world, &issued(&world).await).await;
    let csrf = browser.get(PAGE).await.field("csrf")["value"].clone();
    let fields = [
        ("csrf", csrf.as_str()),
        ("email", "intruder@evil.example"),
        ("current_password", PASSWORD),
        ("password", OTHER),
        ("confirm", OTHER),
        ("pin", ALICES_PIN),
        ("sessions", "others"),
    ];
    for script in [false, true] {
        browser.script = script;
        for page in ["/account/security", "/account/current-pin"] {
            for answer in [browser.get(page).await, browser.post(page, &fields).await] {
                match script {
                    true => assert_eq!(answer.status, StatusCode::FORBIDDEN, "{page}"),
                    false => answer.leads_to(PAGE),
                }
            }
        }
    }
    assert!(owner.session().await.is_some());
    assert!(world.mails().await.iter().all(|mail| mail.to != "intruder@evil.example"));
    world.browser().sign_in(ALICE, PASSWORD).await.leads_to("/portal/home");
}
