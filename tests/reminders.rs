//! Reminders that go out by themselves before a date of the rollout (R-A8), by a clock that is moved.

use serde_json::{Value, json};

use crate::support::{Gateway, Pbx, Settings, Smtp, alice, at, until};

const PASSWORD: &str = "Lighthouse-42";
const ALICE: &str = "alice@corp.example";
const BOB: &str = "bob@corp.example";
const CAROL: &str = "carol@sprockets.example";

/// Carol's company begins a month later, and on the other side of the world.
const ROLLOUT: &str = r#"
[rollout]
time_zone = "UTC"
warn = 2031-01-01
force = 2032-01-01
reject = 2033-01-01
[rollout.reminders]
before_force = ["7d", "1d"]
[rollout.tenants.wickedsprockets]
force = 2032-02-01
time_zone = "Pacific/Auckland"
"#;

struct World {
    smtp: Smtp,
    gateway: Gateway,
    // Ends with the test.
    _pbx: Pbx,
}

fn bob() -> String {
    alice().login.replace("1001", "1002")
}

impl World {
    async fn at(now: &str) -> Self {
        let (smtp, pbx) = (Smtp::start().await, Pbx::start().await);
        let settings = Settings::with_mail("warn", &smtp);
        let settings = Settings { now: now.into(), rollout: ROLLOUT.into(), ..settings };
        let gateway = Gateway::with(&pbx, settings).await;
        let csv = format!(
            "login,email\n{},{ALICE}\n{},{BOB}\n201@wickedsprockets,{CAROL}\n1003@acme,\n\
             1004@acme,gone@acme.example\n",
            alice().login,
            bob()
        );
        assert_eq!(gateway.import("", &csv).await.0, 200);
        gateway.ask("1004@acme", "disable").await;
        Self { smtp, gateway, _pbx: pbx }
    }

    /// The reminders so far, latest first, all of them at their end.
    async fn campaigns(&self) -> Vec<Value> {
        let list = async || {
            let path = "/api/v1/campaigns";
            let (_, list) = self.gateway.api("GET", path, Value::Null).await;
            list["items"].as_array().unwrap().clone()
        };
        let ended = |one: &Value| one["state"] == "finished" || one["state"] == "cancelled";
        until(async || list().await.iter().all(ended)).await;
        list().await
    }

    /// Waits until so many reminders went out, and all of their mails came to an end.
    async fn reminded(&self, times: usize) -> Value {
        until(async || self.campaigns().await.len() == times).await;
        self.campaigns().await.remove(0)
    }

    /// An hour passes, and two mails of Alice's own arrive: whatever else is due has left.
    async fn an_hour(&self) {
        for _ in 0..2 {
            assert_eq!(self.gateway.ask(&alice().login, "reset").await["mail"], "queued");
            self.next_reset().await;
            // Three in an hour are too many.
            self.gateway.advance("30m").await;
        }
    }

    async fn next_reset(&self) {
        while self.smtp.mail_to(ALICE).await.subject() != "Set your portal password" {}
    }

    /// How many reminders each of the three got.
    async fn got(&self) -> [usize; 3] {
        let mails = self.smtp.mails().await;
        [ALICE, BOB, CAROL].map(|to| {
            let reminders = mails.iter().filter(|mail| {
                mail.recipients == [to] && mail.subject() == "Please set a portal password"
            });
            reminders.count()
        })
    }

    async fn bob_sets_his_password(&self) {
        let browser = self.gateway.client();
        browser.log_in(&bob(), "62342").await;
        assert_eq!(browser.set_password("62342", PASSWORD).await.status, 303);
    }
}

/// R-A8: "reminders go out by themselves", so long before the date of each tenant, once to everybody
/// who has no portal password by then, whatever happens to the process.
#[tokio::test(flavor = "multi_thread")]
async fn reminders_go_out_once_before_each_date() {
    let mut world = World::at("2031-12-24T22:59:00Z").await;
    world.an_hour().await;
    assert_eq!(world.campaigns().await, [Value::Null; 0], "it is too early");
    world.gateway.set_clock("2031-12-25T00:00:00Z").await;
    let first = world.reminded(1).await;
    assert_eq!((&first["kind"], &first["audience"]), (&json!("reminder"), &json!("date")));
    assert_eq!(
        (&first["before"], &first["date"]),
        (&json!("force"), &json!("2032-01-01T00:00:00Z"))
    );
    let counts = (first["total"].as_u64(), first["without_email"].as_u64());
    assert_eq!(counts, (Some(2), Some(1)), "{first}");
    assert_eq!(world.got().await, [1, 1, 0]);

    let mail = world.smtp.mail_to(BOB).await;
    let text = mail.text.replace('\n', " ");
    for words in [
        "From 1 January 2032 on, signing in with your voicemail PIN leads to a page",
        "From 1 January 2033 on, your voicemail PIN no longer opens the portal",
        "Voicemail keeps your PIN",
        &bob(),
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    // The link leads to the login, and from there to the page where a portal password is set.
    assert_eq!(mail.path(), "/account/login?next=/account/security");
    let browser = world.gateway.client();
    let page = browser.get(mail.path()).await;
    let next = page.input("next").replace("&#x2f;", "/");
    let csrf = page.input("csrf");
    let form = [("csrf", &*csrf), ("next", &next), ("login", &bob()), ("password", "62342")];
    assert_eq!(browser.post("/account/login", &form).await.location(), "/account/security");

    world.gateway.kill_and_run_again().await;
    world.gateway.restart().await;
    world.an_hour().await;
    assert_eq!(world.got().await, [1, 1, 0], "once");

    world.bob_sets_his_password().await;
    world.gateway.set_clock("2031-12-31T00:00:00Z").await;
    world.reminded(2).await;
    assert_eq!(world.got().await, [2, 1, 0], "Bob has a portal password");

    // Midnight in Auckland is eleven in the morning before, in UTC.
    world.gateway.set_clock("2032-01-24T09:59:00Z").await;
    world.an_hour().await;
    world.gateway.advance("1m").await;
    let own = world.reminded(3).await;
    assert_eq!(own["total"], 1, "{own}");
    assert_eq!(world.got().await, [2, 1, 1]);
    let text = world.smtp.mail_to(CAROL).await.text.replace('\n', " ");
    assert!(text.contains("From 1 February 2032 on, signing in"), "{text}");
}

/// R-A8: a reminder whose moment passed while Passgate was off goes out if it is still of use, and
/// not days later; a date that was moved makes new ones.
#[tokio::test(flavor = "multi_thread")]
async fn reminders_of_a_time_when_nobody_was_there() {
    let mut world = World::at(at("warn")).await;
    world.gateway.stop().await;
    world.gateway.run_again("2031-12-25T23:00:00Z").await;
    world.reminded(1).await;
    assert_eq!(world.got().await, [1, 1, 0], "not a day late");
    world.gateway.stop().await;
    world.gateway.run_again("2032-01-01T00:00:00Z").await;
    world.an_hour().await;
    assert_eq!(world.got().await, [1, 1, 0], "the date has come");

    world.gateway.stop().await;
    let file = world.gateway.config();
    let config = std::fs::read_to_string(&file).unwrap();
    let moved = config.replace("force = 2032-01-01", "force = 2032-03-01");
    std::fs::write(&file, moved).unwrap();
    world.gateway.run_again("2032-02-24T00:00:00Z").await;
    world.an_hour().await;
    assert_eq!(world.got().await, [1, 1, 0], "two days late");
    world.gateway.set_clock("2032-02-29T00:00:00Z").await;
    let again = world.reminded(2).await;
    assert_eq!(again["date"], "2032-03-01T00:00:00Z");
    assert_eq!(world.got().await, [2, 2, 0], "a day before the new date");
}

/// R-A8: who sets a portal password while the reminder waits for the mail server gets none.
#[tokio::test(flavor = "multi_thread")]
async fn a_reminder_that_waits_is_dropped_when_it_is_not_needed() {
    let world = World::at("2031-12-24T23:59:59Z").await;
    world.smtp.fail_with(json!({ "refuse": true })).await;
    world.gateway.advance("1m").await;
    until(async || {
        let mails = world.gateway.outbox().await;
        mails.iter().filter(|mail| mail["kind"] == "reminder").count() == 2
    })
    .await;
    world.bob_sets_his_password().await;
    world.smtp.work_again().await;
    world.gateway.advance("1m").await;
    let done = world.reminded(1).await;
    assert_eq!((&done["sent"], &done["dropped"]), (&json!(1), &json!(1)), "{done}");
    assert_eq!(world.got().await, [1, 0, 0]);
}
