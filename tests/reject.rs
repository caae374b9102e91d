//! The reject phase (R-A4): the PIN is right, but its time is over. It is refused, a link goes to
//! the address on file, and the page says so.

use std::time::{Duration, Instant};

use futures::future::join_all;
use passgate::demo::portal::PortalUser;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    ABC_COMPANY, Answer, Client, Gateway, PHASES, Pbx, Settings, Smtp, alice, at,
};

const ADDRESS: &str = "jane@corp.example";
const PASSWORD: &str = "Lighthouse-42";
const REFUSED: &str = "Login name or portal password is wrong. If you have set a portal password, \
                       your voicemail PIN no longer opens the portal.";
const NO_LINK: &str = "Your voicemail PIN no longer opens the portal, and there is no e-mail \
                       address on file for you. Please contact the Acme help desk.";
const SUPPORT: &str = "[support]\ncontact = \"the Acme help desk\"\n";

/// What is said when a link was mailed at this time of day.
fn mailed_at(time: &str) -> String {
    format!(
        "Your voicemail PIN no longer opens the portal. We sent a link to set your portal password \
         to j•••@c•••.example at {time}. It works for 1 hour; check the spam folder."
    )
}

struct World {
    pbx: Pbx,
    smtp: Smtp,
    gateway: Gateway,
}

impl World {
    /// In reject, on New York's clock (08:00), with Alice's address on file.
    async fn new() -> Self {
        Self::with("", "", "").await
    }

    /// The same, with further keys of `[rollout]`, of the configuration, and of `[server]`.
    async fn with(rollout: &str, more: &str, server: &str) -> Self {
        let (pbx, smtp) = (Pbx::start().await, Smtp::start().await);
        let settings = Settings::with_mail("reject", &smtp);
        let rollout = PHASES.replace("UTC", "America/New_York") + rollout;
        let more = format!("{SUPPORT}{more}{}", settings.more);
        let settings = Settings { rollout, more, server: server.into(), ..settings };
        let gateway = Gateway::with(&pbx, settings).await;
        gateway.put_on_file(&alice().login, ADDRESS).await;
        Self { pbx, smtp, gateway }
    }

    /// What the portal's login page says to somebody who signed in so.
    async fn told(&self, login: &str, secret: &str) -> String {
        let browser = self.gateway.client();
        let answer = browser.log_in(login, secret).await;
        assert_eq!((answer.status, answer.location()), (303, "/portal/login"), "{}", answer.text());
        let page = browser.get("/portal/login").await;
        assert_eq!(page.input("data[Login][username]"), login, "the login name is kept");
        assert_eq!(browser.get("/portal/home").await.location(), "/portal/login", "not signed in");
        alert(&page)
    }

    /// The same of our own login page.
    async fn told_by_own_page(&self, login: &str, secret: &str) -> String {
        let browser = self.gateway.client();
        let page = on_own_page(&browser, login, secret).await;
        assert_eq!(page.status, 403, "{}", page.text());
        assert_eq!(page.input("login"), login, "the login name is kept");
        assert_eq!(browser.cookie("__Host-passgate"), None, "not signed in");
        alert(&page)
    }

    /// How many mails were asked for so far.
    async fn asked_for(&self) -> usize {
        self.gateway.outbox().await.len()
    }
}

async fn on_own_page(browser: &Client, login: &str, secret: &str) -> Answer {
    let csrf = browser.get("/account/login").await.input("csrf");
    let form = [("csrf", csrf.as_str()), ("login", login), ("password", secret)];
    browser.post("/account/login", &form).await
}

/// The words of the one element that is to be read at once.
fn alert(page: &Answer) -> String {
    said(page, "role=\"alert\"")
}

fn said(page: &Answer, role: &str) -> String {
    let text = page.text().replace("&#8226;", "•");
    assert_eq!(text.matches(role).count(), 1, "{text}");
    let from = &text[text.find(role).unwrap()..];
    let from = &from[from.find('>').unwrap() + 1..];
    let inner = from.split("</div>").next().unwrap();
    let words = inner.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text));
    words.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// R-A4: at either door the PIN is refused, and the page says where the link went, when (on the
/// rollout's clock) and for how long. The link opens the portal; from then on only the password
/// does, and the PIN is for voicemail (R-A5).
#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_mailed_and_opens_the_portal() {
    let world = World::new().await;
    let World { pbx, smtp, gateway } = &world;
    assert_eq!(world.told(&alice().login, &alice().pin).await, mailed_at("08:00"));
    let told = world.told_by_own_page(&alice().login, &alice().pin).await;
    assert_eq!(told, mailed_at("08:00"), "both doors say the same");
    assert_eq!(world.asked_for().await, 1);
    let mail = smtp.mail_to(ADDRESS).await;
    assert!(mail.link().starts_with("https://localhost/account/reset?code="), "{}", mail.text);
    assert_eq!(mail.subject(), "Your voicemail PIN no longer opens the portal");
    assert!(mail.text.contains("08:00 on 1 June 2033 (EDT)"), "{}", mail.text);
    assert!(mail.html.contains(mail.link()));

    let browser = gateway.client();
    let page = browser.get(mail.path()).await;
    assert!(!page.text().contains("name=\"pin\""), "the PIN is known: {}", page.text());
    let words = [("password", PASSWORD), ("confirm", PASSWORD)];
    let saved = browser.use_link(mail.path(), &words).await;
    assert_eq!((saved.status, saved.location()), (303, "/portal/home"), "{}", saved.text());
    let home = browser.get("/portal/home").await;
    assert!(home.text().contains("Saved.") && home.text().contains("Alice"), "{}", home.text());
    assert!(browser.opens_mailbox(&alice().pin).await);
    assert_eq!(pbx.pin_of(&alice().login), alice().pin);

    assert_eq!(world.told(&alice().login, &alice().pin).await, REFUSED);
    let answer = gateway.client().log_in(&alice().login, PASSWORD).await;
    assert_eq!(answer.location(), "/portal/home");
    assert!(pbx.tried().iter().all(|(_, accepted)| *accepted), "no wrong PIN reached the PBX");
    assert_eq!(pbx.0.signed_in(), 2, "refused logins leave no PBX session behind");
}

/// R-A4: asked again, the page says when the first mail was sent, and no second one goes out; two
/// minutes later another does; at most three in an hour (security.md).
#[tokio::test(flavor = "multi_thread")]
async fn who_asks_again_gets_few_mails() {
    let world = World::new().await;
    let World { smtp, gateway, .. } = &world;
    let (login, pin) = (alice().login, alice().pin);
    assert_eq!(world.told(&login, &pin).await, mailed_at("08:00"));
    gateway.advance("1m").await;
    assert_eq!(world.told_by_own_page(&login, &pin).await, mailed_at("08:00"));
    assert_eq!(world.asked_for().await, 1);
    for (minutes, time, mails) in
        [("2m", "08:03", 2), ("2m", "08:05", 3), ("2m", "08:05", 3), ("50m", "08:05", 3)]
    {
        gateway.advance(minutes).await;
        assert_eq!(world.told(&login, &pin).await, mailed_at(time));
        assert_eq!(world.asked_for().await, mails);
    }
    gateway.advance("4m").await;
    assert_eq!(world.told(&login, &pin).await, mailed_at("09:01"));
    assert_eq!(world.asked_for().await, 4);

    // Those that are under way all work, until one is used.
    let mut links = Vec::new();
    for _ in 0..4 {
        links.push(smtp.mail_to(ADDRESS).await.path().to_owned());
    }
    assert_eq!(smtp.mails().await.len(), 4);
    let browser = gateway.client();
    let words = [("password", PASSWORD), ("confirm", PASSWORD)];
    assert_eq!(browser.use_link(&links[3], &words).await.location(), "/portal/home");
    for link in &links {
        assert_eq!(browser.get(link).await.status, 410);
    }
}

/// Five windows at once are one mail. (A sixth would have to wait: R-C5 counts before it verifies.)
#[tokio::test(flavor = "multi_thread")]
async fn many_logins_at_once_are_one_mail() {
    let world = World::new().await;
    let (login, pin) = (alice().login, alice().pin);
    let told = join_all((0..5).map(|_| world.told(&login, &pin))).await;
    assert!(told.iter().all(|told| *told == mailed_at("08:00")), "{told:?}");
    assert_eq!(world.asked_for().await, 1);
    world.smtp.mail_to(ADDRESS).await;
    assert_eq!(world.smtp.mails().await.len(), 1);
}

/// A link belongs to who proved the PIN. A wrong PIN, the PIN of somebody with a portal password,
/// and that of somebody who was switched off are refused like any other, and send nothing.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_gets_no_mail() {
    let world = World::new().await;
    let World { pbx, gateway, .. } = &world;
    let bob = format!("1002@{ABC_COMPANY}");
    gateway.put_on_file(&bob, "bob@corp.example").await;
    gateway.ask(&bob, "disable").await;
    for (login, secret) in [(&alice().login, "55512"), (&bob, "62342"), (&bob, "1")] {
        assert_eq!(world.told(login, secret).await, REFUSED);
        assert_eq!(world.told_by_own_page(login, secret).await, REFUSED);
    }
    assert_eq!(world.asked_for().await, 0);

    gateway.set_clock(at("warn")).await;
    let browser = gateway.client().signed_in(&alice()).await;
    assert_eq!(browser.set_password(&alice().pin, PASSWORD).await.status, 303);
    gateway.set_clock(at("reject")).await;
    let before = world.asked_for().await;
    assert_eq!(world.told(&alice().login, &alice().pin).await, REFUSED);
    assert_eq!(world.told_by_own_page(&alice().login, &alice().pin).await, REFUSED);
    assert_eq!(world.asked_for().await, before, "beside the report about the new password: none");
    assert_eq!(pbx.tried().iter().filter(|(secret, _)| secret == "62342").count(), 0);
}

/// R-A4: who has no address on file is told whom to ask: known or new, at either door.
#[tokio::test(flavor = "multi_thread")]
async fn without_an_address_the_page_names_whom_to_ask() {
    let world = World::new().await;
    let (_, removed) = world
        .gateway
        .api("PATCH", &format!("/api/v1/accounts/{}", alice().login), json!({ "email": null }))
        .await;
    assert_eq!(removed["email"], Value::Null);
    for (login, pin) in
        [(alice().login.as_str(), alice().pin.as_str()), ("201@wickedsprockets", "77123")]
    {
        assert_eq!(world.told(login, pin).await, NO_LINK);
        assert_eq!(world.told_by_own_page(login, pin).await, NO_LINK);
    }
    assert_eq!(world.asked_for().await, 0);
}

/// R-A4: where e-mail is off (`mail.url` is empty) everybody is told whom to ask, whatever
/// `reject_action` says.
#[tokio::test(flavor = "multi_thread")]
async fn without_email_the_page_names_whom_to_ask() {
    let pbx = Pbx::start().await;
    for action in ["email", "redirect"] {
        let rollout = format!("{PHASES}reject_action = \"{action}\"\n");
        let settings = Settings { rollout, more: SUPPORT.into(), ..Settings::in_phase("reject") };
        let gateway = Gateway::with(&pbx, settings).await;
        gateway.put_on_file(&alice().login, ADDRESS).await;
        let world = World { pbx: Pbx::start().await, smtp: Smtp::start().await, gateway };
        let told = world.told(&alice().login, &alice().pin).await;
        assert_eq!(
            told,
            "Your voicemail PIN no longer opens the portal. Please contact the Acme help desk."
        );
        assert_eq!(world.told_by_own_page(&alice().login, &alice().pin).await, told);
        assert_eq!(world.asked_for().await, 0);
    }
}

/// R-A4, R-A1: `reject_action = "redirect"` leads to the page that says where the link is; each
/// tenant may have its own. Who has no address stays at the login page.
#[tokio::test(flavor = "multi_thread")]
async fn or_the_user_is_led_into_the_reset() {
    let tenant = "[rollout.tenants.\"wickedsprockets\"]\nreject_action = ";
    for (everyone, of_tenant) in [("email", "redirect"), ("redirect", "email")] {
        let rollout = format!("reject_action = \"{everyone}\"\n{tenant}\"{of_tenant}\"\n");
        let world = World::with(&rollout, "", "").await;
        world.gateway.put_on_file("201@wickedsprockets", "jo@corp.example").await;
        let people = [(alice().login, alice().pin), ("201@wickedsprockets".into(), "77123".into())];
        let [mailed, led] = if everyone == "email" { [0, 1] } else { [1, 0] };
        let (login, pin) = &people[mailed];
        assert_eq!(world.told(login, pin).await, mailed_at("08:00"));
        assert_eq!(world.told_by_own_page(login, pin).await, mailed_at("08:00"));

        let (login, pin) = &people[led];
        for own in [false, true] {
            let browser = world.gateway.client();
            let answer = match own {
                false => browser.log_in(login, pin).await,
                true => on_own_page(&browser, login, pin).await,
            };
            assert_eq!((answer.status, answer.location()), (303, "/account/reset"));
            assert_eq!(browser.cookie("__Host-passgate"), None, "not signed in");
            let page = browser.get("/account/reset").await;
            assert!(page.text().contains("Check your mailbox"), "{}", page.text());
            assert!(said(&page, "role=\"status\"").starts_with(&mailed_at("08:00")));
        }
        assert_eq!(world.asked_for().await, 2, "one for each of them");
        assert_eq!(world.told(&format!("1002@{ABC_COMPANY}"), "62342").await, NO_LINK);
    }
}

/// R-C1: a login that a script sends gets the portal's own answer shape, if the profile has one;
/// on our own login page a problem document.
#[tokio::test(flavor = "multi_thread")]
async fn scripts_are_told_in_their_language() {
    let (pbx, smtp) = (Pbx::start().await, Smtp::start().await);
    let template = "status = 409\ncontent_type = \"application/json\"\n\
                    body = '{\"ok\":false,\"why\":\"{message}\",\"user\":\"{login}\",\"go\":\"{url}\"}'\n";
    let profile = include_str!("../profiles/netsapiens.toml")
        .replace("[session]\n", &format!("[login.answers.set_password]\n{template}\n[session]\n"));
    let settings = Settings { profile: Some(profile), ..Settings::with_mail("reject", &smtp) };
    let gateway = Gateway::with(&pbx, settings).await;
    gateway.put_on_file(&alice().login, ADDRESS).await;
    let answer = gateway.client().log_in(&alice().login, &alice().pin).await;
    assert_eq!((answer.status, answer.header("content-type")), (409, Some("application/json")));
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    let expected = json!({
        "ok": false, "why": mailed_at("12:00"), "user": alice().login, "go": "/account/login",
    });
    assert_eq!(body, expected);
    let wrong = gateway.client().log_in(&alice().login, "55512").await;
    assert_eq!(wrong.location(), "/portal/login", "for this the profile has none");

    let browser = gateway.client();
    let csrf = browser.get("/account/login").await.input("csrf");
    let form = [("csrf", csrf), ("login", alice().login), ("password", alice().pin)];
    let request = browser.as_script("/account/login").build().unwrap();
    let script = browser.http.post(request.url().clone()).headers(request.headers().clone());
    let answer = browser.send(script.form(&form)).await;
    assert_eq!(answer.status, 403);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["detail"], mailed_at("12:00"));
    smtp.mail_to(ADDRESS).await;
    assert_eq!(smtp.mails().await.len(), 1);
}

/// security.md "Codes": the link begins with the configured address, whatever a request says of its
/// host (ZITADEL CVE-2025-64101).
#[tokio::test(flavor = "multi_thread")]
async fn no_request_names_the_host_of_a_link() {
    // Even a proxy that is trusted with addresses.
    let world = World::with("", "", "trusted_proxies = [\"127.0.0.1/32\"]\n").await;
    let (_, browser) = world.gateway.both_protocols().into_iter().next().unwrap();
    let form =
        [("data[Login][username]", alice().login), ("data[Login][password]", alice().pin.clone())];
    let poisons = [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-server", "evil.example"),
        ("x-host", "evil.example"),
        ("x-original-url", "https://evil.example/"),
        ("forwarded", "for=192.0.2.1;host=evil.example;proto=https"),
        ("x-forwarded-proto", "http://evil.example"),
        ("x-forwarded-port", "666"),
        ("x-forwarded-prefix", "//evil.example"),
        ("referer", "https://evil.example/"),
    ];
    for (name, value) in poisons {
        world.gateway.advance("30m").await;
        let request = browser.request(Method::POST, "/portal/login").header(name, value);
        let answer = browser.send(request.form(&form)).await;
        assert!(!format!("{:?}", answer.headers).contains("evil"), "{name}: {:?}", answer.headers);
    }
    assert_eq!(world.asked_for().await, poisons.len());
    for _ in poisons {
        let mail = world.smtp.mail_to(ADDRESS).await;
        assert!(mail.link().starts_with("https://localhost/account/"), "{}", mail.text);
        assert!(!mail.raw.contains("evil") && !mail.html.contains("evil"), "{}", mail.raw);
    }
}

/// security.md "SMTP down": the answer takes the same time whether the mail server works, hangs or
/// is gone (Keycloak #26625).
#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_the_mail_server() {
    let smtp = Smtp::start().await;
    let login = |number: usize| format!("{}@{ABC_COMPANY}", 2000 + number);
    const EACH: usize = 7;
    let pbx = Pbx::with(|options| {
        let people = (0..3 * EACH).map(|number| {
            PortalUser::new(&format!("{}", 2000 + number), ABC_COMPANY, "48151", "P")
        });
        options.users.extend(people);
    })
    .await;
    let gateway = Gateway::with(&pbx, Settings::with_mail("reject", &smtp)).await;
    for number in 0..3 * EACH {
        gateway.put_on_file(&login(number), &format!("p{number}@corp.example")).await;
    }
    // In turn, so that whatever else the machine does meets all three alike.
    let faults = [json!({}), json!({ "hang": "mail" }), json!({ "refuse": true })];
    let mut took = [const { Vec::new() }; 3];
    for number in 0..3 * EACH {
        smtp.fail_with(faults[number % 3].clone()).await;
        let browser = gateway.client();
        browser.get("/portal/login").await;
        let begun = Instant::now();
        let answer = browser.log_in(&login(number), "48151").await;
        took[number % 3].push(begun.elapsed());
        assert_eq!(answer.location(), "/portal/login");
    }
    let medians = took.each_mut().map(|took| {
        took.sort();
        took[EACH / 2]
    });
    assert_eq!(gateway.outbox().await.len(), 3 * EACH, "each of them was to be mailed");
    let (least, most) = (medians.iter().min().unwrap(), medians.iter().max().unwrap());
    assert!(*most < *least * 2 + Duration::from_millis(100), "{medians:?}");
}
