//! Public forms (R-D1, R-D2, R-D3, R-D6): from the portal's own login page through the e-mail back
//! into the portal.

use reqwest::Method;

use crate::support::{ABC_COMPANY, Answer, Client, Mailed as World, alice};

const ADDRESS: &str = World::ADDRESS;
const PASSWORD: &str = "Lighthouse-42";
const WORDS: [(&str, &str); 2] = [("password", PASSWORD), ("confirm", PASSWORD)];
const FORGOT: &str = "/account/forgot-password";
const NAMES: &str = "/account/forgot-login-name";
const NEW_USER: &str = "/account/new-user";

/// Opens the form, fills it in and sends it.
async fn ask(client: &Client, page: &str, fields: &[(&str, &str)]) -> Answer {
    let form = client.get(page).await;
    assert_eq!(form.status, 200, "{}", form.text());
    let csrf = form.last_form_input("csrf");
    client.post(page, &[&[("csrf", csrf.as_str())], fields].concat()).await
}

/// R-C1, R-D1: the portal's login page, "Forgot password?", the login name, the mail, a new portal
/// password, the portal.
#[tokio::test(flavor = "multi_thread")]
async fn from_the_login_page_through_the_mail_into_the_portal() {
    let world = World::new().await;
    for (protocol, client) in world.gateway.both_protocols() {
        let login_page = client.get("/portal/login").await.text();
        assert!(login_page.contains(&format!("<a href=\"{FORGOT}\">Forgot password?</a>")));
        let told = ask(&client, FORGOT, &[("login", &alice().login)]).await;
        assert_eq!(told.status, 200, "{protocol}: {}", told.text());
        assert!(told.text().contains("a•••@c•••.example"), "{protocol}: {}", told.text());
        let mail = world.smtp.mail_to(ADDRESS).await;
        assert_eq!(mail.subject(), "Set your portal password");
        let saved = client.use_link(mail.path(), &WORDS).await;
        assert_eq!((saved.status, saved.location()), (303, "/portal/home"), "{protocol}");
        assert_eq!(client.get("/portal/home").await.status, 200, "{protocol}");
        let report = world.smtp.mail_to(ADDRESS).await;
        assert!(report.subject().starts_with("Your portal password was"), "{}", report.subject());
        world.gateway.advance("1h").await;
    }
}

/// R-D2: one mail that lists the login names of an address in its tenant; its link leads to the
/// login page. The same pair in two tenants: refused, and nothing is sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_login_name() {
    let world = World::new().await;
    let gateway = &world.gateway;
    gateway.put_on_file(&format!("1002@{ABC_COMPANY}"), "Desk@corp.example").await;
    gateway.put_on_file(&format!("1003@{ABC_COMPANY}"), "desk@corp.example").await;
    let client = gateway.client();
    let told = ask(&client, NAMES, &[("email", "DESK@CORP.EXAMPLE")]).await;
    assert_eq!(told.status, 200, "{}", told.text());
    let mail = world.smtp.mail_to("Desk@corp.example").await;
    for extension in ["1002", "1003"] {
        let name = format!("{extension}@{ABC_COMPANY}");
        assert!(mail.text.contains(&name) && mail.html.contains(&name), "{}", mail.text);
    }
    assert!(!mail.text.contains(&alice().login), "{}", mail.text);
    assert_eq!(mail.path(), "/account/login");

    gateway.put_on_file("1003@wickedsprockets", "desk@corp.example").await;
    for extension in ["", "1003"] {
        let fields = [("email", "desk@corp.example"), ("extension", extension)];
        let told = ask(&client, NAMES, &fields).await;
        assert_eq!(told.status, 422, "{}", told.text());
    }
    assert_eq!(world.smtp.mails().await.len(), 1);
    assert_eq!(gateway.outbox().await.len(), 1, "nothing more waits to be sent");
}

/// R-D3: a new user asks for the welcome mail, completes the setup and is in the portal; asking
/// again, the mail has the login name and a reset link.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_user() {
    let world = World::new().await;
    let client = world.gateway.client();
    let told = ask(&client, NEW_USER, &[("email", ADDRESS), ("extension", "1001")]).await;
    assert_eq!(told.status, 200, "{}", told.text());
    let mail = world.smtp.mail_to(ADDRESS).await;
    assert_eq!(mail.subject(), "Complete your setup");
    let fields = [("pin", "902184"), WORDS[0], WORDS[1]];
    let saved = client.use_link(mail.path(), &fields).await;
    assert_eq!((saved.status, saved.location()), (303, "/portal/home"), "{}", saved.text());
    world.smtp.mail_to(ADDRESS).await; // The report.

    let client = world.gateway.client();
    let told = ask(&client, NEW_USER, &[("email", ADDRESS)]).await;
    assert!(told.text().contains("You have a portal password already."), "{}", told.text());
    let mail = world.smtp.mail_to(ADDRESS).await;
    assert!(mail.path().starts_with("/account/reset?code="), "{}", mail.text);
    assert!(mail.text.contains(&alice().login), "{}", mail.text);
}

/// security.md "Host header poisoning": whatever a request says of its host, the link stays at the
/// public URL.
#[tokio::test(flavor = "multi_thread")]
async fn links_stay_at_the_public_url() {
    let world = World::new().await;
    let [(_, client), _] = world.gateway.both_protocols();
    for name in ["host", "x-forwarded-host", "x-host", "x-original-host", "forwarded"] {
        let value = if name == "forwarded" { "host=evil.example" } else { "evil.example" };
        let csrf = client.get(FORGOT).await.last_form_input("csrf");
        let request = client
            .request(Method::POST, FORGOT)
            .header(name, value)
            .form(&[("csrf", csrf.as_str()), ("login", &alice().login)]);
        let told = client.send(request).await;
        assert!(!told.text().contains("evil.example"), "{name}: {}", told.text());
        // Another host may be refused; what is answered is answered with a link of ours.
        if told.status != 200 {
            assert_eq!(name, "host", "{} {}", told.status, told.text());
            continue;
        }
        let mail = world.smtp.mail_to(ADDRESS).await;
        assert!(mail.link().starts_with("https://localhost/account/reset?code="), "{name}");
        assert!(!mail.raw.contains("evil.example"), "{name}: {}", mail.raw);
        world.gateway.advance("1h").await;
    }
    assert!(world.smtp.mails().await.len() >= 4);
}

/// R-D6 `disclosure = "uniform"`: the same answer, byte for byte, whoever is asked about; the mail
/// goes out all the same.
#[tokio::test(flavor = "multi_thread")]
async fn uniform_answers() {
    let world = World::with("[pages]\ndisclosure = \"uniform\"\n").await;
    let mut answers = Vec::new();
    for (page, field, typed) in [
        (FORGOT, "login", alice().login.as_str()),
        (FORGOT, "login", "4711@nowhere"),
        (NAMES, "email", ADDRESS),
        (NAMES, "email", "nobody@corp.example"),
        (NEW_USER, "email", ADDRESS),
        (NEW_USER, "email", "nobody@corp.example"),
    ] {
        let answer = ask(&world.gateway.client(), page, &[(field, typed)]).await;
        let text = answer.text();
        let headers: Vec<_> = answer.headers.keys().map(ToString::to_string).collect();
        answers.push((answer.status, headers, text));
    }
    assert!(answers[0].2.contains("If we know you"), "{}", answers[0].2);
    assert!(answers.windows(2).all(|two| two[0] == two[1]), "{answers:#?}");
    let mut subjects = Vec::new();
    for _ in 0..3 {
        subjects.push(world.smtp.mail_to(ADDRESS).await.subject().to_owned());
    }
    subjects.sort_unstable();
    assert_eq!(subjects, ["Complete your setup", "Set your portal password", "Your login name"]);
}

/// `limits.public_forms_per_address`: counted over all three forms; 429 with the time to wait.
#[tokio::test(flavor = "multi_thread")]
async fn forms_of_one_address_are_limited() {
    let world = World::with("[limits]\npublic_forms_per_address = \"3/10m\"\n").await;
    for (number, page) in [FORGOT, NAMES, NEW_USER, FORGOT].into_iter().enumerate() {
        let fields = [("login", "1@nowhere"), ("email", "nobody@corp.example")];
        let answer = ask(&world.gateway.client(), page, &fields).await;
        let expected = if number < 3 { 422 } else { 429 };
        assert_eq!(answer.status, expected, "{page}: {}", answer.text());
        if expected == 429 {
            let wait: u32 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((590..=600).contains(&wait), "{wait}");
        }
    }
    world.gateway.advance("10m").await;
    let told = ask(&world.gateway.client(), FORGOT, &[("login", &alice().login)]).await;
    assert_eq!(told.status, 200, "{}", told.text());
    world.smtp.mail_to(ADDRESS).await;
}

/// The codes of these links, too, are written down nowhere.
#[tokio::test(flavor = "multi_thread")]
async fn codes_are_written_nowhere() {
    let mut world = World::new().await;
    let client = world.gateway.client();
    ask(&client, FORGOT, &[("login", &alice().login)]).await;
    let reset = world.smtp.mail_to(ADDRESS).await.code().to_owned();
    ask(&client, NEW_USER, &[("email", ADDRESS)]).await;
    let welcome = world.smtp.mail_to(ADDRESS).await.code().to_owned();
    assert!(world.gateway.stop().await);
    for (name, bytes) in world.gateway.written() {
        let text = String::from_utf8_lossy(&bytes);
        for code in [&reset, &welcome] {
            assert!(!text.contains(code.as_str()), "{name}");
        }
    }
}

/// R-A7: the help page is for everybody, and follows the clock.
#[tokio::test(flavor = "multi_thread")]
async fn the_help_page_follows_the_clock() {
    let world = World::new().await;
    let client = world.gateway.client();
    for (now, says) in [
        ("2031-06-01T12:00:00Z", "Your voicemail PIN still opens the portal."),
        ("2032-06-01T12:00:00Z", "to choose a portal password first of all."),
        ("2033-06-01T12:00:00Z", "Only the portal password opens the portal."),
    ] {
        world.gateway.set_clock(now).await;
        let page = client.get("/account/help").await;
        assert_eq!(page.status, 200);
        let text = page.text();
        assert!(text.contains(says), "{now}: {text}");
        for date in ["1 January 2031", "1 January 2032", "1 January 2033"] {
            assert!(text.contains(date), "{now}: {text}");
        }
        assert_eq!(text.matches("class=\"running\"").count(), 1, "{text}");
    }
    assert!(client.get("/account/login").await.text().contains("href=\"/account/help\""));
}
