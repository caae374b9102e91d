//! Counting failed logins (R-C5).

use futures::future::join_all;

use crate::support::{Gateway, Mailed, Pbx, Settings, Smtp, alice};

const PASSWORD: &str = "Lighthouse-42";

async fn message(gateway: &Gateway, login: &str, secret: &str) -> String {
    let browser = gateway.client();
    let answer = browser.log_in(login, secret).await;
    assert_eq!((answer.status, answer.location()), (303, "/portal/login"));
    let page = browser.get("/portal/login").await.text();
    let at = page.find("passgate-message").unwrap_or_else(|| panic!("no message in {page}"));
    page[at..].split("</div>").next().unwrap().to_owned()
}

/// R-C5: five wrong, then the right one is refused with the waiting time; it works after 15
/// minutes; a restart in between changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn five_wrong_lock_for_fifteen_minutes() {
    let pbx = Pbx::start().await;
    let mut gateway = Gateway::start(&pbx).await;
    gateway.import("", &format!("login,email,name,role\n{},,Alice,\n", alice().login)).await;
    for wrong in ["11111", "22222", "33333", "44444", "55555"] {
        assert!(message(&gateway, &alice().login, wrong).await.contains("is wrong"));
    }
    let locked = message(&gateway, &alice().login, &alice().pin).await;
    assert!(locked.contains("Too many attempts") && locked.contains("15 minutes"), "{locked}");
    assert!(gateway.account(&alice().login).await["locked_until"].is_string());

    gateway.advance("10m").await;
    gateway.restart().await;
    let locked = message(&gateway, &alice().login, &alice().pin).await;
    assert!(locked.contains("5 minutes"), "the restart changed nothing: {locked}");
    gateway.advance("5m").await;
    gateway.client().signed_in(&alice()).await;
}

/// R-C5: variants of a name share one counter.
#[tokio::test(flavor = "multi_thread")]
async fn spellings_share_one_counter() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    for spelling in [
        "201@wickedsprockets",
        "201-wickedsprockets",
        " 201@WICKEDSPROCKETS",
        "２０１@wickedsprockets",
        "201-WickedSprockets ",
    ] {
        message(&gateway, spelling, "00000").await;
    }
    let locked = message(&gateway, "201@wickedsprockets", "77123").await;
    assert!(locked.contains("Too many attempts"), "{locked}");
}

/// R-C5: fifty parallel guesses, at most five reach the PBX.
#[tokio::test(flavor = "multi_thread")]
async fn parallel_guesses_are_counted_before_they_are_checked() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let guesses = (0..50).map(|guess| {
        let browser = gateway.client();
        async move { browser.log_in(&alice().login, &format!("{guess:05}")).await }
    });
    join_all(guesses).await;
    assert!(pbx.tried().len() <= 5, "{} guesses reached the PBX", pbx.tried().len());
}

/// R-C5: an application that goes on sending the old PIN counts once, and its owner gets in.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_with_the_old_pin_does_not_lock_its_owner_out() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    gateway.client().signed_in(&alice()).await.set_password(&alice().pin, PASSWORD).await;
    for _ in 0..20 {
        message(&gateway, &alice().login, &alice().pin).await;
    }
    let answer = gateway.client().log_in(&alice().login, PASSWORD).await;
    assert_eq!(answer.location(), "/portal/home");
}

/// R-C5: strangers cannot lock out a browser that signed in before.
#[tokio::test(flavor = "multi_thread")]
async fn a_known_browser_has_a_counter_of_its_own() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let own = gateway.client().signed_in(&alice()).await;
    own.get("/portal/login/logout").await;
    for wrong in 0..6 {
        message(&gateway, &alice().login, &format!("{wrong:05}")).await;
    }
    let stranger = message(&gateway, &alice().login, &alice().pin).await;
    assert!(stranger.contains("Too many attempts"), "{stranger}");
    let answer = own.log_in(&alice().login, &alice().pin).await;
    assert_eq!(answer.location(), "/portal/home", "the owner's browser is not locked");
}

/// R-C5: an address that tries many names is locked; success never clears it; offices are exempt.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_tries_many_names_waits() {
    let pbx = Pbx::start().await;
    let few = Settings { lockout: "max_failures_per_address = 8".into(), ..Settings::default() };
    let gateway = Gateway::with(&pbx, few).await;
    for name in 0..8 {
        message(&gateway, &format!("30{name}@wickedsprockets"), "00000").await;
    }
    let locked = message(&gateway, &alice().login, &alice().pin).await;
    assert!(locked.contains("Too many attempts"), "{locked}");
    gateway.advance("15m").await;
    gateway.client().signed_in(&alice()).await;
}

/// R-C5: a PBX that does not answer is never a wrong password, and counts as nothing.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_counts_as_nothing() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    pbx.0.fail_with(passgate::demo::portal::Failure::Status(503));
    for _ in 0..6 {
        let answer = gateway.client().log_in(&alice().login, &alice().pin).await;
        assert_eq!(answer.status, 502, "{}", answer.text());
        assert!(answer.text().contains("Your login is fine"), "{}", answer.text());
    }
    pbx.0.fail_with(passgate::demo::portal::Failure::None);
    gateway.client().signed_in(&alice()).await;
}

/// R-C5: an administrator can unlock.
#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_unlocks() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    gateway.client().signed_in(&alice()).await;
    for wrong in 0..6 {
        message(&gateway, &alice().login, &format!("{wrong:05}")).await;
    }
    let id = gateway.account(&alice().login).await["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/accounts/{id}/unlock");
    let (status, answer) = gateway.api("POST", &path, serde_json::Value::Null).await;
    assert!(status < 300, "{answer}");
    gateway.client().signed_in(&alice()).await;
}

/// R-C5: the current password is counted together with logins; existing sessions survive a lock.
#[tokio::test(flavor = "multi_thread")]
async fn current_password_checks_share_the_counter() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let browser = gateway.client().signed_in(&alice()).await;
    for wrong in ["11111", "22222", "33333"] {
        let answer = browser.set_password(wrong, PASSWORD).await;
        assert_eq!(answer.status, 403, "{}", answer.text());
    }
    for wrong in ["44444", "55555"] {
        assert_eq!(browser.log_in(&alice().login, wrong).await.location(), "/portal/login");
    }
    browser.log_in(&alice().login, &alice().pin).await;
    let page = browser.get("/portal/login").await.text();
    assert!(page.contains("Too many attempts"), "{page}");
    let answer = browser.set_password(&alice().pin, PASSWORD).await;
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert_eq!(browser.get("/portal/home").await.status, 200, "the session survives the lock");
}

/// R-C5, R-G3: neither a lock nor a password just set is lost when the process is killed.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_forgets_neither_lock_nor_password() {
    let pbx = Pbx::start().await;
    let mut gateway = Gateway::start(&pbx).await;
    gateway.client().signed_in(&alice()).await.set_password(&alice().pin, PASSWORD).await;
    for wrong in 0..5 {
        message(&gateway, "1002@abc-company.11111.service", &format!("0000{wrong}")).await;
    }
    gateway.kill_and_run_again().await;
    let locked = message(&gateway, "1002@abc-company.11111.service", "62342").await;
    assert!(locked.contains("Too many attempts"), "{locked}");
    assert!(message(&gateway, &alice().login, &alice().pin).await.contains("is wrong"));
    let answer = gateway.client().log_in(&alice().login, PASSWORD).await;
    assert_eq!(answer.location(), "/portal/home");
}

/// R-C5: an answer that the profile does not know counts as nothing, but not without end: else
/// whoever can bring it about could try PINs for ever.
#[tokio::test(flavor = "multi_thread")]
async fn unclear_answers_are_bounded() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    pbx.0.fail_with(passgate::demo::portal::Failure::Status(418));
    for turn in 0..20 {
        let answer = gateway.client().log_in(&alice().login, &format!("{turn:05}")).await;
        assert_eq!(answer.status, 502, "{turn}: {}", answer.text());
    }
    pbx.0.fail_with(passgate::demo::portal::Failure::None);
    let locked = message(&gateway, &alice().login, &alice().pin).await;
    assert!(locked.contains("Too many attempts"), "{locked}");
    gateway.advance("15m").await;
    gateway.client().signed_in(&alice()).await;
}

/// R-C5: who guesses is told nothing new; the owner of the login name gets one e-mail with the
/// address that the guesses came from, and the link in it leads to a new portal password at once.
#[tokio::test(flavor = "multi_thread")]
async fn the_owner_is_told_of_a_lock() {
    let world = Mailed::new().await;
    for wrong in ["11111", "22222", "33333", "44444", "55555"] {
        assert!(message(&world.gateway, &alice().login, wrong).await.contains("is wrong"));
    }
    let mail = world.smtp.mail_to(Mailed::ADDRESS).await;
    assert_eq!(mail.subject(), "Too many attempts to sign in");
    assert!(mail.text.contains("127.0.0.1") && mail.html.contains("127.0.0.1"), "{}", mail.text);
    assert_eq!(mail.path(), "/account/forgot-password");
    let owner = world.gateway.client();
    let csrf = owner.get(mail.path()).await.last_form_input("csrf");
    let form = [("csrf", csrf.as_str()), ("login", &alice().login)];
    assert_eq!(owner.post(mail.path(), &form).await.status, 200);
    let link = world.smtp.mail_to(Mailed::ADDRESS).await;
    let words = [("password", PASSWORD), ("confirm", PASSWORD)];
    let saved = owner.use_link(link.path(), &words).await;
    assert_eq!(saved.location(), "/portal/home", "without waiting");
}

/// `lockout.tell_owner = false`: only operators hear of it.
#[tokio::test(flavor = "multi_thread")]
async fn the_owner_is_not_told_where_nobody_wants_it() {
    let smtp = Smtp::start().await;
    let pbx = Pbx::start().await;
    let lockout = "tell_owner = false".into();
    let settings = Settings { lockout, ..Settings::with_mail("warn", &smtp) };
    let gateway = Gateway::with(&pbx, settings).await;
    gateway.put_on_file(&alice().login, Mailed::ADDRESS).await;
    for wrong in 0..6 {
        message(&gateway, &alice().login, &format!("0000{wrong}")).await;
    }
    gateway.ask(&alice().login, "reset").await;
    smtp.mail_to(Mailed::ADDRESS).await;
    assert_eq!(gateway.outbox().await.len(), 1, "the reset link alone");
    gateway.logs("authentication lockout;").await;
}
