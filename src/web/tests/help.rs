//! The help page (R-A7).

use http::StatusCode;

use super::{ALICE, EQUIPPED, PASSWORD, STRICT, World};

const HELP: &str = "/account/help";

/// R-A7: "which phase runs, which are completed, with dates", as the clock has it; for everybody,
/// signed in or not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_schedule_as_it_is_now() {
    let world = World::with(EQUIPPED).await;
    for (days, states, words) in [
        (0, ["running", "to_come", "to_come"], "Your voicemail PIN still opens the portal."),
        (15, ["completed", "running", "to_come"], "to choose a portal password first of all"),
        (14, ["completed", "completed", "running"], "Only the portal password opens the portal."),
    ] {
        world.pass(days);
        let page = world.browser().get(HELP).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        let rows: Vec<_> =
            page.tags("li").into_iter().filter_map(|mut row| row.remove("class")).collect();
        assert_eq!(rows, states);
        let current: Vec<_> =
            page.tags("li").into_iter().filter(|row| row.contains_key("aria-current")).collect();
        assert_eq!(current.len(), 1);
        assert!(page.words().contains(words), "{}", page.words());
        for date in ["12:00 on 4 November 2018", "12:00 on 19 November 2018", "3 December 2018"] {
            assert!(page.words().contains(date), "{date}: {}", page.words());
        }
        assert_eq!(page.words().contains("stops opening the portal in"), days != 14);
    }
}

/// R-A7: "a tenant's own dates on its host or when signed in, otherwise it says that dates may
/// differ by company".
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dates_of_the_company() {
    let world = World::with(EQUIPPED).await;
    let differs = "Dates may differ by company.";
    let page = world.browser().get(HELP).await;
    assert!(page.words().contains(differs), "{}", page.words());
    assert!(page.words().contains("12:00 on 3 December 2018"), "{}", page.words());

    let mut browser = world.browser();
    browser.host = "wickedsprockets.portal.example.com";
    let page = browser.get(HELP).await;
    assert!(!page.words().contains(differs));
    // On its own clock, two hours ahead.
    assert!(page.words().contains("14:00 on 24 December 2018"), "{}", page.words());
    assert!(page.words().contains("At least 15 characters"), "its own rules: {}", page.words());

    let mut browser = world.with_pin().await;
    let page = browser.get(HELP).await;
    assert!(!page.words().contains(differs), "signed in as {ALICE}");
    assert!(page.words().contains("12:00 on 3 December 2018"), "{}", page.words());
    // Who is signed in belongs to one company, whatever host was asked.
    browser.host = "wickedsprockets.portal.example.com";
    assert!(browser.get(HELP).await.words().contains("12:00 on 3 December 2018"));
}

/// R-A7: "the requirements, the affected applications (configurable list), the FAQ, generated from
/// the configuration".
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requirements_and_questions_follow_the_configuration() {
    let world = World::with(EQUIPPED).await;
    let page = world.browser().get(HELP).await;
    for words in [
        "At least 8 characters",
        "At least 1 capital letter",
        "At least 1 digit",
        "4 to 16 digits",
        "Web portal",
        "Softphone",
        "it works for 1 hour",
        "Sign in with your login name and voicemail PIN.",
        "the Acme help desk, 555-0100",
    ] {
        assert!(page.words().contains(words), "{words}: {}", page.words());
    }
    // A key without a text would show itself.
    for key in ["faq.", "help.", "{"] {
        assert!(!page.words().contains(key), "{key}: {}", page.words());
    }
    world.pass(30);
    let page = world.browser().get(HELP).await;
    assert!(page.words().contains("Sign in once with your login name and voicemail PIN: we send"));
    let silent = World::new().await;
    silent.pass(30);
    let page = silent.browser().get(HELP).await;
    assert!(!page.words().contains("We send") && !page.words().contains("we send"));
    assert!(!page.words().contains("No e-mail arrives."), "{}", page.words());
}

/// R-A7: it is found: every page of ours leads to it, the error pages too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_leads_to_it() {
    let world = World::with(EQUIPPED).await;
    let mut inside = world.with_password().await;
    for page in [
        world.browser().get("/account/login").await,
        world.browser().get("/account/nowhere").await,
        world.browser().get("/account/forgot-password").await,
        inside.get("/account/security").await,
    ] {
        assert!(page.tags("a").iter().any(|link| link["href"] == HELP), "{}", page.text);
    }
    world.browser().sign_in(ALICE, PASSWORD).await.leads_to("/portal/home");
}

/// Nothing about anybody stands on it for who is not signed in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_names_no_company() {
    let world = World::with(EQUIPPED).await;
    world.import_alice(Some("alice@corp.example")).await;
    let page = world.browser().get(HELP).await;
    for name in [STRICT, "abc-company", "corp.example"] {
        assert!(!page.text.contains(name), "{name}: {}", page.text);
    }
}
