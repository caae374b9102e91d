//! Links in mails (R-D1, R-D4; security.md "Codes"): a code works once, for its time and its
//! purpose, and is written down nowhere.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Mailed as World, alice};

const ADDRESS: &str = World::ADDRESS;
const PASSWORD: &str = "Lighthouse-42";
const WORDS: [(&str, &str); 2] = [("password", PASSWORD), ("confirm", PASSWORD)];

impl World {
    /// A link of this kind, `"reset"` or `"welcome"`, as it arrived.
    async fn link(&self, kind: &str) -> String {
        let answer = self.gateway.ask(&alice().login, kind).await;
        assert_eq!(answer["mail"], "queued", "{answer}");
        self.smtp.mail_to(ADDRESS).await.path().to_owned()
    }

    async fn status(&self, link: &str) -> u16 {
        self.gateway.client().get(link).await.status
    }

    /// The link was not used up: it sets the password and opens the portal.
    async fn still_works(&self, link: &str) {
        let saved = self.gateway.client().use_link(link, &WORDS).await;
        assert_eq!((saved.status, saved.location()), (303, "/portal/home"), "{}", saved.text());
    }
}

fn code_of(link: &str) -> &str {
    link.split_once("?code=").unwrap().1
}

/// security.md "Codes": 20 parallel POSTs of one code: exactly one wins. The others are told that
/// the link was used, on a page for people.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_twenty_wins() {
    let world = World::new().await;
    let link = world.link("reset").await;
    let opened = join_all((0..20).map(async |number| {
        let browser = world.gateway.client();
        let csrf = browser.get(&link).await.input("csrf");
        (browser, csrf, format!("Lighthouse-4{number}"))
    }))
    .await;
    let answers = join_all(opened.iter().map(async |(browser, csrf, password)| {
        let code = code_of(&link);
        let form = [
            ("csrf", csrf.as_str()),
            ("code", code),
            ("password", password),
            ("confirm", password),
        ];
        browser.post("/account/reset", &form).await
    }))
    .await;
    let won: Vec<usize> = (0..20).filter(|number| answers[*number].status == 303).collect();
    assert_eq!(won.len(), 1, "{:?}", answers.iter().map(|a| a.status).collect::<Vec<_>>());
    for (number, answer) in answers.iter().enumerate().filter(|(number, _)| *number != won[0]) {
        assert_eq!(answer.status, 410, "{number}: {}", answer.text());
        assert!(answer.text().contains("This link was used already"), "{}", answer.text());
        assert!(opened[number].0.cookie("__Host-passgate").is_none());
    }
    for (number, (_, _, password)) in opened.iter().enumerate() {
        // Few enough not to be locked out.
        if number < 3 || number == won[0] {
            let answer = world.gateway.client().log_in(&alice().login, password).await;
            let expected = if number == won[0] { "/portal/home" } else { "/portal/login" };
            assert_eq!(answer.location(), expected, "{number}");
        }
    }
}

/// R-D1: mail scanners follow links, with GET and HEAD, and fill in what they like in the query:
/// that uses nothing up and changes nothing (authelia #2994).
#[tokio::test(flavor = "multi_thread")]
async fn scanners_use_nothing_up() {
    let world = World::new().await;
    for kind in ["reset", "welcome"] {
        let link = world.link(kind).await;
        let filled_in = format!("{link}&password={PASSWORD}&confirm={PASSWORD}&pin=80246");
        let looks = (0..50).map(async |number| {
            let scanner = world.gateway.client();
            let method = if number % 2 == 0 { Method::GET } else { Method::HEAD };
            let link = if number % 5 == 0 { &filled_in } else { &link };
            scanner.send(scanner.request(method, link)).await.status
        });
        assert_eq!(join_all(looks).await, [200; 50], "{kind}");
    }
    assert_eq!(world.gateway.account(&alice().login).await["state"], "pin_only");
    world.gateway.advance("3m").await;
    let link = world.link("reset").await;
    world.still_works(&link).await;
}

/// R-D1: one hour, and not longer; a form that was opened in time is too late, too. The page says
/// what to do next.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_works_for_an_hour() {
    let world = World::new().await;
    let link = world.link("reset").await;
    let browser = world.gateway.client();
    let csrf = browser.get(&link).await.input("csrf");
    world.gateway.advance("59m").await;
    assert_eq!(world.status(&link).await, 200);
    world.gateway.advance("1m").await;
    let form = [&[("csrf", csrf.as_str()), ("code", code_of(&link))], WORDS.as_slice()].concat();
    for answer in [browser.get(&link).await, browser.post("/account/reset", &form).await] {
        assert_eq!(answer.status, 410);
        let text = answer.text();
        assert!(text.contains("The link worked for 1 hour. To get a new one"), "{text}");
        assert!(text.contains("Sign in</a>"), "{text}");
    }
    assert_eq!(world.gateway.account(&alice().login).await["state"], "pin_only");
    // The clock goes back: what is over was not used, and comes to life only for its own hour.
    world.gateway.advance("-30m").await;
    world.still_works(&link).await;
}

/// R-D4: 72 hours for a welcome.
#[tokio::test(flavor = "multi_thread")]
async fn a_welcome_works_for_three_days() {
    let world = World::new().await;
    let link = world.link("welcome").await;
    world.gateway.advance("71h 59m").await;
    assert_eq!(world.status(&link).await, 200);
    world.gateway.advance("1m").await;
    let page = world.gateway.client().get(&link).await;
    assert_eq!(page.status, 410);
    assert!(page.text().contains("The link worked for 3 days."), "{}", page.text());
}

/// security.md "Codes": void after a password or e-mail change, however it came about.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_account_voids_all_links() {
    let world = World::new().await;
    let gateway = &world.gateway;
    let browser = gateway.client().signed_in(&alice()).await;
    let first = world.link("reset").await;
    let welcome = world.link("welcome").await;
    assert_eq!(browser.set_password(&alice().pin, PASSWORD).await.status, 303);
    for link in [&first, &welcome] {
        let page = gateway.client().get(link).await;
        assert_eq!(page.status, 410);
        assert!(page.text().contains("was used already, or your portal password was"));
    }

    world.smtp.mail_to(ADDRESS).await; // The report.
    gateway.advance("1h").await;
    let [second, third] = [world.link("reset").await, {
        gateway.advance("3m").await;
        world.link("reset").await
    }];
    world.still_works(&third).await;
    for link in [&second, &third] {
        assert_eq!(world.status(link).await, 410);
    }

    world.smtp.mail_to(ADDRESS).await;
    gateway.advance("1h").await;
    let fourth = world.link("reset").await;
    let path = format!("/api/v1/accounts/{}", alice().login);
    for (name, still) in
        [(json!({ "name": "Alice Adler" }), 200), (json!({ "email": "new@corp.example" }), 410)]
    {
        assert_eq!(gateway.api("PATCH", &path, name).await.0, 200);
        assert_eq!(world.status(&fourth).await, still);
    }
}

/// R-D1: a code has one purpose; at every other place it is unknown, and stays good for its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_has_one_purpose() {
    let world = World::new().await;
    let links = [world.link("reset").await, world.link("welcome").await];
    for (own, link) in ["reset", "welcome"].iter().zip(&links) {
        for place in ["reset", "welcome", "confirm-email"] {
            let code = code_of(link);
            let browser = world.gateway.client();
            let page = browser.get(&format!("/account/{place}?code={code}")).await;
            let expected = if place == *own { 200 } else { 404 };
            assert_eq!(page.status, expected, "{own} at {place}");
            if place != *own {
                let csrf = browser.get("/account/login").await.input("csrf");
                let pins = [("csrf", csrf.as_str()), ("code", code), ("pin", "80246")];
                let form = [&pins, WORDS.as_slice()].concat();
                let posted = browser.post(&format!("/account/{place}"), &form).await;
                assert_eq!(posted.status, 404, "{own} at {place}");
            }
        }
    }
    world.still_works(&links[0]).await;
}

/// What mail programs make of a link works (a full stop, blanks); what is cut off or made up does
/// not, in whichever shape, and is shown nowhere.
#[tokio::test(flavor = "multi_thread")]
async fn codes_that_are_none() {
    let world = World::new().await;
    let link = world.link("reset").await;
    let code = code_of(&link);
    let swapped: String = code
        .chars()
        .map(|c| if c.is_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
        .collect();
    let made_up = BASE64_URL_SAFE_NO_PAD.encode([7; 32]);
    for wrong in [
        &code[..42],
        &code[1..],
        &format!("{code}A"),
        &swapped,
        &made_up,
        &format!("{code}%00"),
        &format!("{code}%3D"),
        &format!("x&code={code}"),
        &"A".repeat(8_000),
        "%FF%FE",
        "%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
        "'%20OR%201=1--",
    ] {
        let page = world.gateway.client().get(&format!("/account/reset?code={wrong}")).await;
        assert_eq!(page.status, 404, "{wrong}: {}", page.text());
        assert!(page.text().contains("copy the whole link"), "{wrong}: {}", page.text());
        assert!(!page.text().contains("<script>alert") && !page.text().contains(&code[..20]));
    }
    for fine in [format!("{link}."), format!("{link}%20"), format!("{link}&utm_source=mail")] {
        assert_eq!(world.status(&fine).await, 200, "{fine}");
    }
    world.still_works(&format!("{link}.")).await;
}

/// The form is taken only from the browser that was given it; a refusal uses nothing up.
#[tokio::test(flavor = "multi_thread")]
async fn a_form_without_its_token_is_refused() {
    let world = World::new().await;
    let link = world.link("reset").await;
    let browser = world.gateway.client();
    let csrf = browser.get(&link).await.input("csrf");
    let stranger = world.gateway.client();
    let of_stranger = stranger.get(&link).await.input("csrf");
    let fields = [&[("code", code_of(&link))], WORDS.as_slice()].concat();
    for token in [None, Some(""), Some("x"), Some(of_stranger.as_str())] {
        let token = token.map(|token| ("csrf", token));
        let form: Vec<_> = token.into_iter().chain(fields.clone()).collect();
        let answer = browser.post("/account/reset", &form).await;
        assert_eq!(answer.status, 403, "{token:?}");
    }
    let form = [&[("csrf", csrf.as_str())], fields.as_slice()].concat();
    let request = browser.request(Method::POST, "/account/reset").form(&form).build().unwrap();
    let mut headers = request.headers().clone();
    headers.insert("sec-fetch-site", "cross-site".parse().unwrap());
    let elsewhere = browser.http.post(request.url().clone()).headers(headers).form(&form);
    assert_eq!(browser.send(elsewhere).await.status, 403);
    assert_eq!(world.gateway.account(&alice().login).await["state"], "pin_only");
    assert_eq!(browser.post("/account/reset", &form).await.location(), "/portal/home");
}

/// R-B1: what breaks the rules is refused with its reasons, and uses nothing up.
#[tokio::test(flavor = "multi_thread")]
async fn a_weak_password_uses_nothing_up() {
    let world = World::new().await;
    let link = world.link("reset").await;
    let browser = world.gateway.client();
    for (password, confirm, why) in [
        ("short", "short", "It needs at least 8 characters."),
        ("lowercase-only-1", "lowercase-only-1", "It needs at least 1 capital letter."),
        ("No-digits-at-all", "No-digits-at-all", "It needs at least 1 digit."),
        ("Password1", "Password1", "most frequently used portal"),
        ("X1001@abc-company.11111.service", "X1001@abc-company.11111.service", "your login name"),
        (PASSWORD, "Lighthouse-43", "are not the same"),
        ("48151623421", "48151623421", "It looks like a voicemail PIN."),
    ] {
        let answer = browser.use_link(&link, &[("password", password), ("confirm", confirm)]).await;
        assert_eq!(answer.status, 422, "{password}");
        let text = answer.text();
        let why = why.replace("frequently used portal", "frequently used passwords");
        assert!(text.contains("role=\"alert\"") && text.contains(&why), "{password}: {text}");
        assert!(!text.contains(&format!("\"{password}\"")), "it is not shown again");
    }
    world.still_works(&link).await;
}

/// R-G3: a link outlives a restart and a crash of the gateway.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_outlives_the_process() {
    let mut world = World::new().await;
    let link = world.link("reset").await;
    world.gateway.restart().await;
    assert_eq!(world.status(&link).await, 200);
    world.gateway.kill_and_run_again().await;
    world.still_works(&link).await;
    // And what was used stays used.
    world.gateway.kill_and_run_again().await;
    assert_eq!(world.status(&link).await, 410);
}

/// No page that a link leads to lets it leak: not by the Referer, not by a cache.
#[tokio::test(flavor = "multi_thread")]
async fn pages_keep_the_code_to_themselves() {
    let world = World::new().await;
    let link = world.link("reset").await;
    let browser = world.gateway.client();
    let weak = [("password", "short"), ("confirm", "short")];
    let answers = [
        browser.get(&link).await,
        browser.get(&link[..link.len() - 1]).await,
        browser.use_link(&link, &weak).await,
        browser.use_link(&link, &WORDS).await,
        browser.get(&link).await,
    ];
    assert_eq!(answers.each_ref().map(|answer| answer.status), [200, 404, 422, 303, 410]);
    for answer in &answers {
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(!answer.location().contains(code_of(&link)));
        assert!(!format!("{:?}", answer.headers).contains(code_of(&link)));
    }
}

/// Codes are written down nowhere: not in the store, a log, the admin API or the metrics.
#[tokio::test(flavor = "multi_thread")]
async fn codes_are_written_down_nowhere() {
    let mut world = World::with("[log]\nlevel = \"debug\"\n").await;
    let links = [world.link("reset").await, world.link("welcome").await];
    let browser = world.gateway.client();
    let mut seen: Vec<Answer> = Vec::new();
    for link in &links {
        seen.push(browser.get(link).await);
        seen.push(browser.fetch(link).await);
        seen.push(browser.get(&link.replace("/account/", "/portal/")).await);
        seen.push(browser.use_link(link, &[("password", "short"), ("confirm", "short")]).await);
    }
    seen.push(browser.use_link(&links[0], &WORDS).await);
    seen.push(browser.get(&links[0]).await);
    assert_eq!(seen.last().unwrap().status, 410);

    let mut shown = world.gateway.metrics().await;
    let id = world.gateway.account(&alice().login).await["id"].as_str().unwrap().to_owned();
    for path in ["/api/v1/outbox", "/api/v1/accounts", "/api/v1/accounts/export"] {
        shown.push_str(&world.gateway.api("GET", path, Value::Null).await.1.to_string());
    }
    let sessions = format!("/api/v1/sessions?account={id}");
    shown.push_str(&world.gateway.api("GET", &sessions, Value::Null).await.1.to_string());
    assert!(shown.contains("\"kind\":\"welcome\"") && shown.contains("passgate_mails_total"));

    assert!(world.gateway.stop().await);
    let mut files = world.gateway.written();
    files.push(("administration".into(), shown.into_bytes()));
    let holds = |bytes: &[u8], what: &[u8]| memchr::memmem::find(bytes, what).is_some();
    let known = |what: &str| files.iter().any(|(_, bytes)| holds(bytes, what.as_bytes()));
    assert!(known(ADDRESS) && known("/account/reset"), "the search does not see what is there");
    for link in &links {
        let code = code_of(link);
        let raw = BASE64_URL_SAFE_NO_PAD.decode(code).unwrap();
        let hex: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
        for (place, bytes) in &files {
            for form in [code.as_bytes(), &code.as_bytes()[..20], &raw, hex.as_bytes()] {
                assert!(!holds(bytes, form), "a code in {place}");
            }
        }
    }
}
