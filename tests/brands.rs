//! Brands and languages (R-D7): every page and e-mail, and every link in it, is of the account's
//! brand, in the language of its reader; texts and templates can be the operator's own.

use serde_json::Value;

use crate::support::{ABC_COMPANY, BRAND_HOST, Client, Gateway, Mailed, Pbx, Settings, alice};

const FORGOT: &str = "/account/forgot-password";
const WORDS: [(&str, &str); 2] = [("password", "Lighthouse-42"), ("confirm", "Lighthouse-42")];
/// Somebody of a tenant without a brand of its own.
const OTHER: &str = "1003@wickedsprockets";

/// Acme's customers, in the world of somebody else.
fn acme() -> String {
    format!(
        "[[brand]]\nhosts = [\"{BRAND_HOST}\"]\ntenants = [\"{ABC_COMPANY}\"]\n\
         public_url = \"https://{BRAND_HOST}\"\nname = \"Acme Voice\"\naccent = \"#0a5\"\n\
         support = \"the Acme desk, 555-0199\"\n\
         mail_from = \"Acme Phones <phones@acme.example>\"\nlocale = \"es\"\n"
    )
}

async fn forgot(client: &Client, login: &str) -> String {
    let csrf = client.get(FORGOT).await.last_form_input("csrf");
    let told = client.post(FORGOT, &[("csrf", &csrf), ("login", login)]).await;
    assert_eq!(told.status, 200, "{}", told.text());
    told.text()
}

/// R-D7: without a session the host decides whose page it is; with one, the account; the asset
/// files of a brand are there at every host.
#[tokio::test(flavor = "multi_thread")]
async fn pages_are_of_the_brand() {
    let world = Mailed::with(&acme()).await;
    let (at_acme, elsewhere) =
        (world.gateway.reader(BRAND_HOST, "en"), world.gateway.reader("localhost", "en"));
    let page = at_acme.get("/account/login").await.text();
    assert!(page.contains("<span>Acme Voice</span>") && page.contains("the Acme desk, 555-0199"));
    let sheet = page.split('"').find(|part| part.ends_with("/brand.css")).expect("its colours");
    for client in [&at_acme, &elsewhere] {
        let sheet = client.get(sheet).await;
        assert_eq!(sheet.header("content-type"), Some("text/css; charset=utf-8"));
        assert!(sheet.header("cache-control").unwrap().contains("immutable"));
        assert!(sheet.text().contains("--accent:#"), "{}", sheet.text());
    }
    let page = elsewhere.get("/account/login").await.text();
    assert!(page.contains("<span>localhost</span>") && !page.contains("brand.css"), "{page}");

    let signed_in = elsewhere.signed_in(&alice()).await;
    let page = signed_in.get("/account/security").await.text();
    assert!(page.contains("<span>Acme Voice</span>") && page.contains("brand.css"), "{page}");
}

/// R-D7, R-D1: the mail is of the account's brand at whatever host it was asked for: sender, name,
/// support, and a link that leads to that brand's host and into the portal there.
#[tokio::test(flavor = "multi_thread")]
async fn mails_are_of_the_accounts_brand() {
    let world = Mailed::with(&acme()).await;
    world.gateway.put_on_file(OTHER, "other@corp.example").await;
    let (at_acme, elsewhere) =
        (world.gateway.reader(BRAND_HOST, "en"), world.gateway.reader("localhost", "en"));
    forgot(&elsewhere, &alice().login).await;
    let mail = world.smtp.mail_to(Mailed::ADDRESS).await;
    assert_eq!(mail.headers["from"], "Acme Phones <phones@acme.example>");
    assert!(mail.text.contains("the Acme desk, 555-0199"), "{}", mail.text);
    assert!(mail.html.contains(">Acme Voice</td>") && !mail.html.contains("#1b5fd1"));
    let link = mail.link().strip_prefix(&format!("https://{BRAND_HOST}")).expect("Acme's host");
    let saved = at_acme.use_link(link, &WORDS).await;
    assert_eq!((saved.status, saved.location()), (303, "/portal/home"), "{}", saved.text());
    assert_eq!(at_acme.get("/portal/home").await.status, 200);
    let report = world.smtp.mail_to(Mailed::ADDRESS).await;
    assert_eq!(report.headers["from"], "Acme Phones <phones@acme.example>");

    forgot(&at_acme, OTHER).await;
    let mail = world.smtp.mail_to("other@corp.example").await;
    assert!(mail.link().starts_with("https://localhost/"), "{}", mail.text);
    assert!(!mail.raw.contains("phones@acme"), "{}", mail.raw);
}

/// R-D7: the browser's languages decide, on our pages, in the portal's, and in the mail that was
/// asked for there; a browser that wants what is not spoken gets the brand's language.
#[tokio::test(flavor = "multi_thread")]
async fn the_reader_chooses_the_language() {
    let world = Mailed::with(&acme()).await;
    for (host, languages, lang, question) in [
        ("localhost", "es-MX,es;q=0.9,en;q=0.8", "es", "&#191;Olvid&#243; su contrase&#241;a?"),
        ("localhost", "en-GB,en;q=0.9,es;q=0.8", "en", "Forgot password?"),
        ("localhost", "fr", "en", "Forgot password?"),
        (BRAND_HOST, "fr", "es", "&#191;Olvid&#243; su contrase&#241;a?"),
        (BRAND_HOST, "en", "en", "Forgot password?"),
    ] {
        let client = world.gateway.reader(host, languages);
        for page in ["/account/login", "/account/help", "/account/nowhere"] {
            let page = client.get(page).await.text();
            assert!(page.contains(&format!("<html lang=\"{lang}\">")), "{languages}: {page}");
        }
        let login_page = client.get("/portal/login").await.text();
        assert!(login_page.contains(question), "{host}, {languages}: {login_page}");
    }

    let reader = world.gateway.reader(BRAND_HOST, "en");
    forgot(&reader, &alice().login).await;
    assert_eq!(world.smtp.mail_to(Mailed::ADDRESS).await.subject(), "Set your portal password");
    world.gateway.advance("1h").await;
    let reader = world.gateway.reader("localhost", "es");
    forgot(&reader, &alice().login).await;
    let mail = world.smtp.mail_to(Mailed::ADDRESS).await;
    assert_eq!(mail.subject(), "Elija su contraseña del portal");
    // What an administrator asks for has no reader yet: the brand's language.
    world.gateway.advance("1h").await;
    world.gateway.ask(&alice().login, "reset").await;
    let mail = world.smtp.mail_to(Mailed::ADDRESS).await;
    assert_eq!(mail.subject(), "Elija su contraseña del portal");
}

/// security.md: whatever a request says about hosts, the link in the mail begins with the public
/// URL of the account's brand.
#[tokio::test(flavor = "multi_thread")]
async fn poisoned_hosts_change_no_link() {
    let world = Mailed::with(&acme()).await;
    world.gateway.put_on_file(OTHER, "other@corp.example").await;
    for (login, address, begins) in [
        (alice().login.as_str(), Mailed::ADDRESS, format!("https://{BRAND_HOST}/")),
        (OTHER, "other@corp.example", "https://localhost/".into()),
    ] {
        for (name, value) in [
            ("host", "evil.example"),
            ("x-forwarded-host", "evil.example"),
            ("forwarded", "host=evil.example;proto=http"),
            ("x-forwarded-server", "evil.example"),
            ("x-original-url", "https://evil.example/account/reset"),
            ("x-host", "evil.example"),
        ] {
            let client = world.gateway.http1();
            let csrf = client.get(FORGOT).await.last_form_input("csrf");
            let form = [("csrf", csrf.as_str()), ("login", login)];
            let request = client.request(reqwest::Method::POST, FORGOT).form(&form);
            let told = client.send(request.header(name, value)).await;
            assert_eq!(told.status, 200, "{name}: {}", told.text());
            assert!(!told.text().contains("evil"), "{name}: {}", told.text());
            let mail = world.smtp.mail_to(address).await;
            assert!(mail.link().starts_with(&begins), "{name}: {}", mail.text);
            assert!(!mail.raw.contains("evil"), "{name}: {}", mail.raw);
            world.gateway.advance("1h").await;
        }
    }
}

/// R-D7, texts translatable: a directory of the operator's words and templates. One that turns out
/// not to be drawable gives way to the one that ships.
#[tokio::test(flavor = "multi_thread")]
async fn own_words_and_templates() {
    let place = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = place.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    file("locales/en.toml", "[login]\ntitle = \"Welcome to your phones\"\n");
    file("locales/fr.toml", "[mail.reset]\nsubject = \"Votre mot de passe\"\n");
    file("pages/sign_out.html", "{{ this.is.nowhere }}");
    file("mail/names.txt", "Own words for {{ logins|join(', ') }}: {{ link }}\n");
    let pages = format!("[pages]\noverrides = {:?}\ndefault_locale = \"fr\"\n", place.path());
    let world = Mailed::with(&pages).await;
    let english = world.gateway.reader("localhost", "en");
    let page = english.get("/account/login").await.text();
    assert!(page.contains("<h1>Welcome to your phones</h1>"), "{page}");
    forgot(&world.gateway.reader("localhost", "de"), &alice().login).await;
    assert_eq!(world.smtp.mail_to(Mailed::ADDRESS).await.subject(), "Votre mot de passe");

    let csrf = english.get("/account/forgot-login-name").await.last_form_input("csrf");
    let form = [("csrf", csrf.as_str()), ("email", Mailed::ADDRESS)];
    english.post("/account/forgot-login-name", &form).await;
    let mail = world.smtp.mail_to(Mailed::ADDRESS).await;
    assert!(mail.text.starts_with(&format!("Own words for {}: https://", alice().login)));

    let signed_in = english.signed_in(&alice()).await;
    let page = signed_in.get("/account/sign-out").await;
    assert!(page.status == 200 && page.text().contains("<h1>Sign out?</h1>"), "{}", page.text());
    // The operator is told, by a thread of its own.
    world.gateway.logs("page not rendered").await;
}

/// What cannot be used is told before the start, with its file, all of it at once.
#[tokio::test(flavor = "multi_thread")]
async fn check_reads_the_files_of_brands() {
    let place = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(place.path().join("pages")).unwrap();
    std::fs::write(place.path().join("pages/logni.html"), "").unwrap();
    std::fs::write(place.path().join("logo.png"), vec![0; 40_000]).unwrap();
    let pbx = Pbx::start().await;
    let gateway = Gateway::with(&pbx, Settings::default()).await;
    let config = std::fs::read_to_string(gateway.config()).unwrap();
    let more = format!(
        "{config}\n[pages]\noverrides = {:?}\ndefault_locale = \"tlh\"\n{}logo = {:?}\n",
        place.path(),
        acme(),
        place.path().join("logo.png")
    );
    std::fs::write(gateway.config(), more).unwrap();
    let output = gateway.command(&["check", "--json"]).await;
    assert_eq!(output.status.code(), Some(1));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let told = told["problems"].to_string();
    for problem in [
        "logni.html: no template has this name",
        "the picture has 40 KiB; it may have at most 24 KiB",
        "pages.default_locale: there are no texts in \\\"tlh\\\", only in en, es",
    ] {
        assert!(told.contains(problem), "{problem}: {told}");
    }
}
