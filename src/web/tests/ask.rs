//! Public forms: forgotten portal password, forgotten login name, new user (R-D1, R-D2, R-D3,
//! R-D6).

use std::time::{Duration, Instant};

use axum::body::Body;
use http::{Method, StatusCode};

use super::browser::{Browser, Page};
use super::{ALICE, EQUIPPED, PASSWORD, STRICT, Setup, World};
use crate::domain::account::{AccountId, NewAccount, Role};
use crate::domain::login_name::LoginName;
use crate::domain::mail::MailKind;
use crate::flows::public_forms::{FormOutcome, Stranger, forgot_password};
use crate::flows::{FormLimit, sweep};
use crate::ports::{AccountChange, Created};

const FORGOT: &str = "/account/forgot-password";
const NAMES: &str = "/account/forgot-login-name";
const NEW_USER: &str = "/account/new-user";
const ADDRESS: &str = "alice@corp.example";
const SUPPORT: &str = "Please contact the Acme help desk, 555-0100.";

impl World {
    /// An account of the directory, with this address on file.
    async fn listed(&self, login: &str, email: &str) -> AccountId {
        let number = login.bytes().fold(1, |n: u128, b| n.wrapping_mul(257).wrapping_add(b.into()));
        let id = AccountId(uuid::Uuid::from_u128(number));
        let new = NewAccount {
            login: LoginName::parse(login).unwrap(),
            email: (!email.is_empty()).then(|| email.to_owned()),
            name: String::new(),
            role: Role::User,
        };
        let made = self.services.accounts.create(id, new, self.services.clock.now()).await.unwrap();
        assert!(matches!(made, Created::New(_)), "{login} is there already");
        id
    }

    /// A browser of its own sends the form.
    async fn asks(&self, page: &str, fields: &[(&str, &str)]) -> Page {
        self.browser().fill_in(page, fields).await
    }

    /// To whom mails went, and of which kind, since the last look.
    async fn sent(&self) -> Vec<(String, MailKind)> {
        self.mails().await.into_iter().map(|mail| (mail.to, mail.kind)).collect()
    }
}

/// Refused with a message that names support, and nothing was sent.
async fn is_refused(world: &World, page: &Page, words: &str) {
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", page.text);
    let said = page.said("alert");
    assert!(said.starts_with(words) && said.ends_with(SUPPORT), "{said}");
    assert_eq!(world.sent().await, [], "{said}");
}

/// R-D1: the login name, in every spelling of it, is enough; the link goes to the address on file,
/// which the page shows only masked, with the time and for how long it works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_password_is_answered_by_a_link() {
    let world = World::with(EQUIPPED).await;
    world.import_alice(Some(ADDRESS)).await;
    for typed in [ALICE, " 1001@ABC-Company.11111.Service ", "1001-abc-company.11111.service"] {
        let page = world.asks(FORGOT, &[("login", typed)]).await;
        assert_eq!(page.status, StatusCode::OK, "{typed}: {}", page.text);
        let said = page.said("status");
        assert!(said.contains("to a•••@c•••.example at 12:"), "{said}");
        assert!(said.contains("works for 1 hour; check the spam folder"), "{said}");
        assert!(!page.text.contains("alice@") && !page.text.contains("corp"), "{}", page.text);
        assert!(page.tags("a").iter().any(|link| link["href"] == "/portal/login"));
        let code = world.link().await;
        let mut browser = world.browser();
        assert_eq!(browser.get(&format!("/account/reset?code={code}")).await.status, 200);
        world.pass_minutes(3);
    }
    let alice = world.alice().await;
    assert!(alice.password.is_none() && alice.epoch == 0, "asking changes nothing");
}

/// R-D1: at most one mail in two minutes and three in an hour; the page says when the last one was
/// sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_flooded_with_links() {
    let world = World::with(EQUIPPED).await;
    world.import_alice(Some(ADDRESS)).await;
    let mut mails = 0;
    for (minute, expected, at) in
        [(0, 1, "12:00"), (1, 1, "12:00"), (3, 2, "12:03"), (6, 3, "12:06"), (9, 3, "12:06")]
    {
        let start: jiff::Timestamp = "2018-11-05T12:00:00Z".parse().unwrap();
        let now = world.services.clock.now();
        let passed = now.duration_since(start).as_mins();
        world.pass_minutes(minute - passed);
        let page = world.asks(FORGOT, &[("login", ALICE)]).await;
        mails += world.sent().await.len();
        assert_eq!(mails, expected, "after {minute} minutes");
        assert!(page.said("status").contains(&format!("at {at}.")), "{}", page.said("status"));
    }
    world.pass_minutes(61);
    world.asks(FORGOT, &[("login", ALICE)]).await;
    assert_eq!(world.sent().await, [(ADDRESS.to_owned(), MailKind::Reset)]);
}

/// R-D1: "or bare extension where the host gives the tenant"; nowhere else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_host_gives_the_tenant_of_a_bare_extension() {
    let world = World::with(EQUIPPED).await;
    world.listed("201@wickedsprockets", "ida@wicked.example").await;
    world.listed("201@abc-company.11111.service", "hugo@abc.example").await;
    let mut browser = world.browser();
    browser.host = "wickedsprockets.portal.example.com";
    let page = browser.fill_in(FORGOT, &[("login", "201")]).await;
    assert!(page.said("status").contains("i•••@w•••.example"), "{}", page.text);
    assert_eq!(world.sent().await, [("ida@wicked.example".to_owned(), MailKind::Reset)]);
    let page = world.asks(FORGOT, &[("login", "201")]).await;
    is_refused(&world, &page, "There is no such login name").await;
}

/// R-D1: an unknown name, one without an address, and one that is switched off are told the same:
/// contact the administrator.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_cannot_be_written_to_is_told_whom_to_ask() {
    let world = World::with(EQUIPPED).await;
    world.listed("1003@abc-company.11111.service", "").await;
    let off = world.listed("1004@abc-company.11111.service", "off@corp.example").await;
    world.services.accounts.change(off, AccountChange::Disabled(true), None).await.unwrap();
    let words = "There is no such login name, or no e-mail address on file for it.";
    for login in ["1003@abc-company.11111.service", "1004@abc-company.11111.service", ALICE, "x y"]
    {
        let page = world.asks(FORGOT, &[("login", login)]).await;
        is_refused(&world, &page, words).await;
        assert_eq!(page.said("alert"), format!("{words} {SUPPORT}"), "{login}");
    }
    for page in [NAMES, NEW_USER] {
        let page = world.asks(page, &[("email", "off@corp.example")]).await;
        is_refused(&world, &page, "This e-mail address and extension do not").await;
    }
}

/// R-D2: one e-mail with the login name, to the address that was typed, whatever its case.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_login_name_is_mailed() {
    let world = World::with(EQUIPPED).await;
    world.import_alice(Some("Alice@Corp.example")).await;
    for (number, email) in [ADDRESS, " ALICE@CORP.EXAMPLE "].iter().enumerate() {
        let extension = ["", "1001"][number];
        let page = world.asks(NAMES, &[("email", email), ("extension", extension)]).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        assert!(page.said("status").starts_with("We sent your login name to Alice@Corp.example"));
        assert!(!page.text.contains(ALICE), "the page does not tell it");
        let mails = world.mails().await;
        assert_eq!(mails.len(), 1);
        assert_eq!(
            (mails[0].to.as_str(), mails[0].kind),
            ("Alice@Corp.example", MailKind::LoginNames)
        );
        assert!(mails[0].text.contains(ALICE), "{}", mails[0].text);
        assert!(!mails[0].text.contains("code="), "no link that could do anything");
        world.pass_minutes(3);
    }
}

/// R-D2: several extensions on one address in one tenant: one mail that lists them, and nobody
/// else's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_mail_lists_all_login_names() {
    let world = World::with(EQUIPPED).await;
    for extension in ["1001", "1002", "1010"] {
        world.listed(&format!("{extension}@abc-company.11111.service"), "desk@corp.example").await;
    }
    world.listed("1009@abc-company.11111.service", "other@corp.example").await;
    let off = world.listed("1011@abc-company.11111.service", "desk@corp.example").await;
    world.services.accounts.change(off, AccountChange::Disabled(true), None).await.unwrap();
    let page = world.asks(NAMES, &[("email", "desk@corp.example")]).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    let mails = world.mails().await;
    assert_eq!(mails.len(), 1);
    let listed: Vec<_> =
        mails[0].text.split_whitespace().filter(|word| word.contains("@abc-company")).collect();
    let expected = ["1001", "1002", "1010"].map(|e| format!("{e}@abc-company.11111.service"));
    assert_eq!(listed, expected);
}

/// R-D2: found in more than one tenant: refused, nothing sent; the extension or the host tells
/// them apart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pair_in_two_tenants_is_refused() {
    let world = World::with(EQUIPPED).await;
    let shared = "shared@corp.example";
    world.listed("201@abc-company.11111.service", shared).await;
    world.listed("201@wickedsprockets", shared).await;
    world.listed("202@wickedsprockets", shared).await;
    let words = "This e-mail address and extension do not lead to one";
    for page in [NAMES, NEW_USER] {
        for extension in ["", "201", "999"] {
            let fields = [("email", shared), ("extension", extension)];
            is_refused(&world, &world.asks(page, &fields).await, words).await;
        }
        let unknown = world.asks(page, &[("email", "nobody@corp.example")]).await;
        is_refused(&world, &unknown, words).await;
    }
    let page = world.asks(NAMES, &[("email", shared), ("extension", "202")]).await;
    assert_eq!(page.status, StatusCode::OK, "one tenant has it: {}", page.text);
    let mails = world.mails().await;
    assert!(mails[0].text.contains("202@wickedsprockets"), "{}", mails[0].text);
    assert!(!mails[0].text.contains("abc-company"), "{}", mails[0].text);
    let mut browser = world.browser();
    browser.host = "wickedsprockets.portal.example.com";
    let page = browser.fill_in(NAMES, &[("email", shared), ("extension", "201")]).await;
    assert_eq!(page.status, StatusCode::OK, "the host says which: {}", page.text);
    assert!(!world.mails().await[0].text.contains("abc-company"));
}

/// R-D3: who has no portal password yet gets the welcome mail, and the page says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_user_gets_the_welcome_mail() {
    let world = World::with(EQUIPPED).await;
    world.import_alice(Some(ADDRESS)).await;
    let page = world.asks(NEW_USER, &[("email", ADDRESS), ("extension", "1001")]).await;
    let said = page.said("status");
    assert!(said.starts_with("We sent you a welcome e-mail to alice@corp.example at"), "{said}");
    assert!(said.contains("works for 3 days"), "{said}");
    let mails = world.mails().await;
    assert_eq!((mails.len(), mails[0].kind), (1, MailKind::Welcome));
    let link = format!("/account/welcome?code={}", mails[0].code);
    assert_eq!(world.browser().get(&link).await.status, StatusCode::OK);
}

/// R-D3: "who already has a password gets a mail with the login name and a reset link instead".
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_new_gets_login_name_and_reset_link() {
    let world = World::with(EQUIPPED).await;
    drop(world.with_password().await);
    world.address(ADDRESS).await;
    let page = world.asks(NEW_USER, &[("email", ADDRESS)]).await;
    let said = page.said("status");
    assert!(said.starts_with("You have a portal password already. We sent your login"), "{said}");
    let mails = world.mails().await;
    assert_eq!((mails.len(), mails[0].kind), (1, MailKind::Reset));
    assert!(mails[0].text.contains(ALICE), "{}", mails[0].text);
    world.browser().sign_in(ALICE, PASSWORD).await.leads_to("/portal/home");
}

/// R-D3: several people on one address: the extension is asked for, at its field; with it, its
/// owner gets the mail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_address_needs_the_extension() {
    let world = World::with(EQUIPPED).await;
    let shared = "desk@corp.example";
    world.listed("1001@abc-company.11111.service", shared).await;
    world.listed("1002@abc-company.11111.service", shared).await;
    let mut browser = world.browser();
    let page = browser.fill_in(NEW_USER, &[("email", shared)]).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.said("alert").starts_with("Several people use this e-mail address."));
    assert_eq!(page.wrong_fields(), ["extension"]);
    assert_eq!(page.field("email")["value"], shared, "what was typed is kept");
    assert_eq!(world.sent().await, []);
    let fields = [("email", shared), ("extension", "1002")];
    let page = browser.send_form(&page, NEW_USER, &fields).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    let mails = world.mails().await;
    assert_eq!((mails.len(), mails[0].kind), (1, MailKind::Welcome));
    assert!(mails[0].text.contains("1002@abc-company"), "{}", mails[0].text);
}

/// R-D6, uniform: status, page and headers are the same whatever exists, and no answer comes
/// before the floor; the mails go out all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uniform_answers_tell_nothing() {
    const FLOOR: Duration = Duration::from_millis(300);
    let world = World::with(Setup { uniform: true, floor: FLOOR, ..EQUIPPED }).await;
    world.import_alice(Some(ADDRESS)).await;
    world.listed("1003@abc-company.11111.service", "").await;
    let shared = "desk@corp.example";
    world.listed("1005@abc-company.11111.service", shared).await;
    world.listed("1006@abc-company.11111.service", shared).await;
    world.listed("1006@wickedsprockets", "two@corp.example").await;
    world.listed("1007@abc-company.11111.service", "two@corp.example").await;
    let mut answers = Vec::new();
    for (page, field, typed) in [
        (FORGOT, "login", ALICE),
        (FORGOT, "login", ALICE),
        (FORGOT, "login", "1003@abc-company.11111.service"),
        (FORGOT, "login", "4711@nowhere"),
        (FORGOT, "login", "no login name"),
        (NAMES, "email", ADDRESS),
        (NAMES, "email", "nobody@corp.example"),
        (NAMES, "email", "two@corp.example"),
        (NEW_USER, "email", ADDRESS),
        (NEW_USER, "email", shared),
        (NEW_USER, "email", "nobody@corp.example"),
    ] {
        let mut browser = world.browser();
        let form = browser.get(page).await;
        let begun = Instant::now();
        let answer = browser.send_form(&form, page, &[(field, typed)]).await;
        assert!(begun.elapsed() >= FLOOR, "{page} {typed}: {:?}", begun.elapsed());
        assert_eq!(answer.status, StatusCode::OK, "{page} {typed}");
        assert!(answer.said("status").starts_with("If we know you, an e-mail is on its way"));
        assert!(answer.said("status").ends_with(SUPPORT));
        answers.push((answer.text, answer.headers));
    }
    assert!(answers.windows(2).all(|two| two[0] == two[1]), "{answers:#?}");
    // All were asked for at one moment, so they leave in any order.
    let mut kinds: Vec<_> = world.sent().await.iter().map(|(_, kind)| kind.name()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["login_names", "reset", "welcome"]);
}

/// security.md "Limits": 20 forms in ten minutes from one address, whatever they ask for; then 429
/// that says when to come back. Others are not touched by it, nor are logins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_sends_twenty_forms() {
    let world = World::with(EQUIPPED).await;
    world.import_alice(Some(ADDRESS)).await;
    let mut browser = world.browser();
    let form = browser.get(FORGOT).await;
    for number in 0..20 {
        let name = format!("{number}@nowhere");
        let page = browser.send_form(&form, FORGOT, &[("login", &name)]).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{number}");
    }
    for page in [FORGOT, NAMES, NEW_USER] {
        let fields = [("login", ALICE), ("email", ADDRESS)];
        let answer = browser.fill_in(page, &fields).await;
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{page}");
        assert_eq!(answer.header("retry-after"), "600");
        assert!(answer.words().contains("Please wait 10 minutes"), "{}", answer.words());
    }
    assert_eq!(world.sent().await, [], "not even for who exists");
    let mut other = world.browser();
    other.client = [203, 0, 113, 8].into();
    assert_eq!(other.fill_in(FORGOT, &[("login", ALICE)]).await.status, StatusCode::OK);
    browser.sign_in(ALICE, super::ALICES_PIN).await.leads_to("/portal/home");
    world.pass_minutes(10);
    let again = world.asks(FORGOT, &[("login", "1@nowhere")]).await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
}

/// "E-mail off": the pages promise nothing, in no mode, and nothing leads to them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_mail_nothing_is_promised() {
    for uniform in [false, true] {
        let world = World::with(Setup { mail: false, uniform, ..EQUIPPED }).await;
        world.import_alice(Some(ADDRESS)).await;
        for page in [FORGOT, NAMES, NEW_USER] {
            let mut browser = world.browser();
            let csrf = browser.get("/account/login").await.field("csrf")["value"].clone();
            let fields = [("csrf", csrf.as_str()), ("login", ALICE), ("email", ADDRESS)];
            for answer in [browser.get(page).await, browser.post(page, &fields).await] {
                assert_eq!(answer.status, StatusCode::NOT_FOUND, "{page}");
                let said = answer.said("alert");
                assert!(said.starts_with("E-mail is not set up here") && said.ends_with(SUPPORT));
                assert!(!answer.text.contains("<form method=\"post\" action=\"/account/forgot"));
            }
        }
        assert_eq!(links(&world.browser().get("/account/login").await), [""; 0]);
    }
    let world = World::with(EQUIPPED).await;
    assert_eq!(links(&world.browser().get("/account/login").await), [FORGOT, NAMES, NEW_USER]);
}

fn links(page: &Page) -> Vec<String> {
    let places = page.tags("a").into_iter().map(|mut link| link.remove("href").unwrap());
    places.filter(|place| [FORGOT, NAMES, NEW_USER].contains(&place.as_str())).collect()
}

/// security.md "Browser": only from the browser that was given the form, and from no other site;
/// an empty form says what is missing. Nothing of it is sent or counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forms_of_other_sites_send_nothing() {
    let world = World::with(EQUIPPED).await;
    world.import_alice(Some(ADDRESS)).await;
    for (page, field, missing) in [
        (FORGOT, "login", "Enter your login name."),
        (NAMES, "email", "Enter your e-mail address."),
        (NEW_USER, "email", "Enter your e-mail address."),
    ] {
        let fields = [(field, if field == "login" { ALICE } else { ADDRESS })];
        let mut browser = world.browser();
        let form = browser.get(page).await;
        let mut victim = world.browser();
        for _ in 0..10 {
            let answer = victim.send_form(&form, page, &fields).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN);
            assert!(answer.said("alert").starts_with("This page was open for too long"));
        }
        let answer = victim.post(page, &fields).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "no token");
        victim.headers.push(("sec-fetch-site", "cross-site".into()));
        assert_eq!(victim.fill_in(page, &fields).await.status, StatusCode::FORBIDDEN);
        let answer = browser.send_form(&form, page, &[(field, "  ")]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(answer.said("alert"), missing);
        let twice = format!("{field}=a&{field}=b");
        let kind = "application/x-www-form-urlencoded";
        let answer = browser.send(Method::POST, page, kind, Body::from(twice)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "two values for one field");
    }
    assert_eq!(world.sent().await, []);
    assert_eq!(world.asks(FORGOT, &[("login", ALICE)]).await.status, StatusCode::OK);
}

/// interfaces.md "Kinds of client": scripts get the same words as JSON.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_get_json() {
    let world = World::with(EQUIPPED).await;
    world.import_alice(Some(ADDRESS)).await;
    let ask = async |browser: &mut Browser<'_>, page: &str, fields: &[(&str, &str)]| {
        browser.script = false;
        let form = browser.get(page).await;
        browser.script = true;
        browser.send_form(&form, page, fields).await
    };
    let mut browser = world.browser();
    let good = ask(&mut browser, FORGOT, &[("login", ALICE)]).await;
    assert_eq!((good.status, good.header("content-type")), (StatusCode::OK, "application/json"));
    let said: serde_json::Value = serde_json::from_str(&good.text).unwrap();
    assert!(said["message"].as_str().unwrap().contains("a•••@c•••.example"), "{said}");
    for (page, fields) in [(FORGOT, ("login", "1@nowhere")), (NAMES, ("email", "x@y.example"))] {
        let bad = ask(&mut browser, page, &[fields]).await;
        assert_eq!(bad.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(bad.header("content-type"), "application/problem+json");
        assert!(bad.text.contains(SUPPORT), "{}", bad.text);
    }
}

/// What is typed is shown again as text, cut to a length, and never believed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_typed_is_text() {
    let world = World::with(EQUIPPED).await;
    world.listed("1001@abc-company.11111.service", "desk@corp.example").await;
    world.listed("1002@abc-company.11111.service", "desk@corp.example").await;
    let hostile = "\"><script>alert(1)</script>";
    let long = "x".repeat(9000);
    for typed in [hostile, long.as_str()] {
        let page = world.asks(NAMES, &[("email", " "), ("extension", typed)]).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(!page.text.contains("<script>alert"), "{}", page.text);
        assert!(page.field("extension")["value"].chars().count() <= 255);
    }
    let page = world.asks(FORGOT, &[("login", hostile)]).await;
    is_refused(&world, &page, "There is no such login name").await;
}

/// texts.md "locked": the way out is named where there is one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_names_the_way_out() {
    let world = World::with(EQUIPPED).await;
    let mut browser = world.browser();
    for _ in 0..5 {
        browser.sign_in(ALICE, "Wrong-Harbour-7").await;
    }
    let page = browser.sign_in(ALICE, "Wrong-Harbour-7").await;
    assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(page.said("alert"), "Too many attempts. Wait 15 minutes, or use Forgot password.");
    assert!(links(&page).contains(&FORGOT.to_owned()));
}

/// A store that does not answer is nobody's fault: 503, and nothing is said about accounts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_store_says_nothing_about_accounts() {
    let world = World::with(EQUIPPED).await;
    let mut browser = world.browser();
    let forms = [(FORGOT, "login"), (NAMES, "email"), (NEW_USER, "email")];
    let mut open = Vec::new();
    for (page, _) in forms {
        open.push(browser.get(page).await);
    }
    world.database.close().await;
    for ((page, field), form) in forms.into_iter().zip(&open) {
        let answer = browser.send_form(form, page, &[(field, STRICT)]).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{page}");
    }
}

/// security.md "Limits": a limit over a longer time than that of failed logins holds for all of it,
/// whatever is swept away meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_limit_outlives_the_sweep() {
    let world = World::with(EQUIPPED).await;
    let mut services = (*world.services).clone();
    let hour = Duration::from_secs(3600);
    services.policies.public_forms_per_address = Some(FormLimit { most: 1, per: hour });
    let stranger = Stranger { client: [203, 0, 113, 7].into(), tenant: None, language: None };
    let first = forgot_password(&services, None, &stranger).await.unwrap();
    assert_eq!(first, FormOutcome::AskSupport);
    world.pass_minutes(40);
    sweep::sweep(&services).await.unwrap();
    let until = world.services.clock.now() + jiff::SignedDuration::from_mins(20);
    let second = forgot_password(&services, None, &stranger).await.unwrap();
    assert_eq!(second, FormOutcome::TooMany { until });
    world.pass_minutes(21);
    let third = forgot_password(&services, None, &stranger).await.unwrap();
    assert_eq!(third, FormOutcome::AskSupport);
}
