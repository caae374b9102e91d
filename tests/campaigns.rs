//! Bulk mails (R-E1): the same e-mail to many accounts, paused, killed and finished; what somebody
//! waits for is never stuck behind them. Reminders before a date: `tests/reminders.rs`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::{ABC_COMPANY, Gateway, Pbx, Settings, Smtp, alice, until};

const ALICE: &str = "alice@corp.example";
const PASSWORD: &str = "Lighthouse-42";
const CAMPAIGNS: &str = "/api/v1/campaigns";

/// One of the people who get the same mail.
fn login(number: usize) -> String {
    format!("{}@acme", 2000 + number)
}

fn address(number: usize) -> String {
    format!("p{number}@corp.example")
}

struct World {
    smtp: Smtp,
    gateway: Gateway,
    // Ends with the test.
    _pbx: Pbx,
}

impl World {
    /// So many people in the tenant `acme`, with an address each, and Alice in another one.
    async fn of(people: usize, rate: &str) -> Self {
        let (smtp, pbx) = (Smtp::start().await, Pbx::start().await);
        let settings = Settings::with_mail("warn", &smtp);
        let more = format!("{}rate = \"{rate}\"\n", settings.more);
        let gateway = Gateway::with(&pbx, Settings { more, ..settings }).await;
        let rows: String = (0..people).map(|n| format!("{},{}\n", login(n), address(n))).collect();
        let csv = format!("login,email\n{},{ALICE}\n{rows}", alice().login);
        assert_eq!(gateway.import("", &csv).await.0, 200);
        Self { smtp, gateway, _pbx: pbx }
    }

    async fn start(&self, body: Value) -> Value {
        let (status, campaign) = self.gateway.api("POST", CAMPAIGNS, body).await;
        assert_eq!(status, 201, "{campaign}");
        campaign
    }

    async fn refused(&self, body: Value) -> (u16, Value) {
        let (status, problem) = self.gateway.api("POST", CAMPAIGNS, body).await;
        assert!(status >= 400, "{problem}");
        (status, problem)
    }

    /// The campaign as it is now.
    async fn look(&self, campaign: &Value) -> Value {
        let path = format!("{CAMPAIGNS}/{}", campaign["id"].as_str().unwrap());
        let (status, campaign) = self.gateway.api("GET", &path, Value::Null).await;
        assert_eq!(status, 200, "{campaign}");
        campaign
    }

    async fn tell(&self, campaign: &Value, order: &str) -> (u16, Value) {
        let path = format!("{CAMPAIGNS}/{}/{order}", campaign["id"].as_str().unwrap());
        self.gateway.api("POST", &path, Value::Null).await
    }

    async fn finished(&self, campaign: &Value) -> Value {
        until(async || self.look(campaign).await["state"] == "finished").await;
        self.look(campaign).await
    }

    /// Waits until so many mails have left.
    async fn sent(&self, campaign: &Value, least: u64) {
        until(async || count(&self.look(campaign).await, "sent") >= least).await;
    }

    /// How many mails arrived that are not Alice's.
    async fn arrived(&self) -> usize {
        let mails = self.smtp.mails().await;
        mails.iter().filter(|mail| mail.recipients != [ALICE]).count()
    }

    /// A mail of Alice's own arrives: whatever was to leave before it has left.
    async fn alice_gets_hers(&self) {
        assert_eq!(self.gateway.ask(&alice().login, "reset").await["mail"], "queued");
        self.smtp.mail_to(ALICE).await;
        // Three in an hour are too many.
        self.gateway.advance("30m").await;
    }

    /// Nothing leaves any more, although other mails do.
    async fn nothing_leaves(&self, campaign: &Value) {
        until(async || count(&self.look(campaign).await, "queued") == 0).await;
        let before = self.arrived().await;
        self.alice_gets_hers().await;
        self.alice_gets_hers().await;
        assert_eq!(self.arrived().await, before);
    }

    async fn passgate(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let output = self.gateway.command(arguments).await;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }
}

fn count(campaign: &Value, what: &str) -> u64 {
    campaign[what].as_u64().unwrap_or_else(|| panic!("no {what} in {campaign}"))
}

/// What has become of the mails is all of them, at every moment.
fn adds_up(campaign: &Value) {
    let parts = ["planned", "queued", "sent", "failed", "dropped"];
    let sum: u64 = parts.iter().map(|part| count(campaign, part)).sum();
    assert_eq!(sum, count(campaign, "total"), "{campaign}");
}

/// R-E1: the bulk action is "throttled, resumable, idempotent, with progress": paused, resumed and
/// killed twice in the middle, everybody gets their mail, and nobody another one. What was being
/// handed over when the process died may come twice, under the same `Message-ID`.
#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_survives_a_pause_and_two_kills() {
    const PEOPLE: usize = 300;
    let mut world = World::of(PEOPLE, "50/s").await;
    let welcome = json!({ "kind": "welcome", "tenant": "acme" });
    let campaign = world.start(welcome.clone()).await;
    assert_eq!((&campaign["state"], count(&campaign, "total")), (&json!("running"), 300));
    let (status, same) = world.refused(welcome.clone()).await;
    assert_eq!((status, &same["reason"], &same["id"]), (409, &json!("at_work"), &campaign["id"]));
    assert!(same["detail"].as_str().unwrap().contains(campaign["id"].as_str().unwrap()));

    world.sent(&campaign, 20).await;
    assert_eq!(world.tell(&campaign, "pause").await.0, 200);
    let (_, paused) = world.tell(&campaign, "pause").await;
    assert_eq!(paused["state"], "paused");
    world.nothing_leaves(&campaign).await;
    let paused = world.look(&campaign).await;
    adds_up(&paused);
    assert_eq!(count(&paused, "sent"), world.arrived().await as u64, "{paused}");
    assert!(count(&paused, "planned") > 100, "it was paused in the middle: {paused}");
    assert_eq!(world.refused(welcome.clone()).await.1["state"], "paused");
    world.gateway.kill_and_run_again().await;
    assert_eq!(world.look(&campaign).await["state"], "paused", "a restart resumes nothing");
    assert_eq!(world.tell(&campaign, "resume").await.0, 200);

    for least in [100, 200] {
        world.sent(&campaign, least).await;
        world.gateway.kill_and_run_again().await;
        adds_up(&world.look(&campaign).await);
    }
    // What the dead process had in its hands is taken up after a while.
    world.sent(&campaign, 250).await;
    world.gateway.advance("10m").await;
    let done = world.finished(&campaign).await;
    adds_up(&done);
    assert_eq!((count(&done, "sent"), count(&done, "without_email")), (300, 0), "{done}");

    let mut ids = BTreeMap::<String, Vec<String>>::new();
    for mail in world.smtp.mails().await {
        if mail.recipients != [ALICE] {
            assert_eq!(mail.subject(), "Complete your setup");
            ids.entry(mail.recipients.concat()).or_default().push(mail.id().to_owned());
        }
    }
    let everybody: BTreeSet<String> = (0..PEOPLE).map(address).collect();
    assert_eq!(ids.keys().cloned().collect::<BTreeSet<_>>(), everybody);
    for (to, ids) in &ids {
        let different: BTreeSet<&String> = ids.iter().collect();
        assert_eq!(different.len(), 1, "{to} has two different mails");
    }
    let again = ids.values().map(|ids| ids.len() - 1).sum::<usize>();
    assert!(again <= 100, "at most what two processes had in their hands: {again}");
    assert_eq!(world.tell(&campaign, "cancel").await.0, 409, "it is over");
    assert_eq!(world.tell(&campaign, "pause").await.1["reason"], "finished");
}

/// R-E1: the bulk action goes to "selected, all without password in a tenant"; who has a portal
/// password, is switched off or has no address gets none. A dry run says so and sends nothing.
#[tokio::test(flavor = "multi_thread")]
async fn who_gets_a_mail() {
    let world = World::of(4, "50/s").await;
    let gateway = &world.gateway;
    let browser = gateway.client();
    assert_eq!(browser.log_in(&alice().login, &alice().pin).await.location(), "/portal/home");
    assert_eq!(browser.set_password(&alice().pin, PASSWORD).await.status, 303);
    world.smtp.mail_to(ALICE).await;
    gateway.ask(&login(3), "disable").await;
    let without = format!("login,email\n3000@acme,\n3001@{ABC_COMPANY},zoe@corp.example\n");
    assert_eq!(gateway.import("", &without).await.0, 200);

    for (body, total, without_email) in [
        (json!({ "tenant": "ACME" }), 3, 1),
        (json!({ "tenant": ABC_COMPANY }), 1, 0),
        (json!({}), 4, 1),
        (json!({ "filter": {} }), 4, 1),
        (json!({ "filter": { "state": "pin_only" } }), 4, 1),
    ] {
        for kind in ["welcome", "reminder"] {
            let mut wanted = json!({ "kind": kind, "dry_run": true });
            wanted.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
            let (status, said) = gateway.api("POST", CAMPAIGNS, wanted.clone()).await;
            assert_eq!(
                (status, &said["state"], &said["id"]),
                (200, &json!("dry_run"), &Value::Null)
            );
            let counted = (count(&said, "total"), count(&said, "without_email"));
            assert_eq!(counted, (total, without_email), "{wanted}: {said}");
        }
    }
    let (_, list) = gateway.api("GET", CAMPAIGNS, Value::Null).await;
    assert_eq!(list["items"], json!([]), "a dry run is no campaign");

    let zoe = gateway.account(&format!("3001@{ABC_COMPANY}")).await;
    let picked = json!({ "kind": "welcome", "filter": {
        "ids": [zoe["id"], zoe["id"]],
        "logins": [login(0), login(3), "3000@acme", alice().login],
    } });
    let campaign = world.start(picked).await;
    let done = world.finished(&campaign).await;
    let counts = ["total", "sent", "dropped", "without_email"].map(|what| count(&done, what));
    assert_eq!(counts, [4, 2, 2, 1], "{done}");
    for to in [&address(0), "zoe@corp.example"] {
        assert!(world.smtp.mail_to(to).await.path().starts_with("/account/welcome?code="));
    }
    assert_eq!(world.smtp.mails().await.len(), 3, "the report of Alice's password and these two");

    let filter = |filter: Value| json!({ "kind": "welcome", "tenant": "acme", "filter": filter });
    for (body, status, reason) in [
        (json!({ "kind": "welcome", "tenant": "nobody" }), 422, "unknown_tenant"),
        (filter(json!({ "logins": ["9@acme"] })), 422, "unknown_accounts"),
        (filter(json!({ "ids": [uuid::Uuid::nil()] })), 422, "unknown_accounts"),
        (filter(json!({ "logins": [alice().login] })), 422, "other_tenant"),
        (filter(json!({ "logins": [] })), 422, ""),
        (filter(json!({ "logins": ["nonsense"] })), 422, ""),
        (filter(json!({ "state": "password" })), 422, ""),
        (json!({ "kind": "reset" }), 422, ""),
        (json!({ "kind": "welcome", "tenants": ["acme"] }), 422, ""),
    ] {
        let (is, problem) = world.refused(body.clone()).await;
        assert_eq!((is, problem["reason"].as_str().unwrap_or("")), (status, reason), "{body}");
    }
    let unknown = filter(json!({ "logins": ["9@acme", login(0)] }));
    assert_eq!(world.refused(unknown).await.1["accounts"], json!(["9@acme"]));
    assert_eq!(gateway.api("GET", &format!("{CAMPAIGNS}/nonsense"), Value::Null).await.0, 404);
    gateway.set_clock("2033-06-01T00:00:00Z").await;
    let (status, problem) = world.refused(json!({ "kind": "reminder" })).await;
    assert_eq!((status, &problem["reason"]), (422, &json!("no_date")), "nothing is ahead");
}

/// R-E1, R-D1: whoever asks for a link during a bulk gets it at once: it overtakes all that wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_reset_link_overtakes_a_bulk() {
    let world = World::of(300, "10/s").await;
    let campaign = world.start(json!({ "kind": "reminder", "tenant": "acme" })).await;
    world.sent(&campaign, 5).await;
    let browser = world.gateway.client();
    let page = browser.get("/account/forgot-password").await;
    let form = [("csrf", &*page.input("csrf")), ("login", &alice().login)];
    assert_eq!(browser.post("/account/forgot-password", &form).await.status, 200);
    let before = world.arrived().await;
    let reset = world.smtp.mail_to(ALICE).await;
    assert!(reset.path().starts_with("/account/reset?code="));
    let mails = world.smtp.mails().await;
    let place = mails.iter().position(|mail| mail.recipients == [ALICE]).unwrap();
    // Those that were being handed over when it was asked for, and one second's worth.
    assert!(place <= before + 20, "{place} left before it, {before} of them before it was asked");
    let still = world.look(&campaign).await;
    assert!(count(&still, "planned") + count(&still, "queued") > 200, "{still}");
    let told = mails[0].text.replace('\n', " ");
    assert!(told.contains("From 1 January 2032 on, signing in"), "{told}");
    assert!(told.contains("From 1 January 2033 on, your voicemail PIN no longer"), "{told}");
    let metrics = world.gateway.metrics().await;
    assert!(metrics.contains("passgate_mails_total{kind=\"reminder\",result=\"sent\"}"));
}

/// R-E1: a cancelled campaign sends nothing any more, also after a restart; the same one can be
/// started again then.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_bulk_is_over() {
    let mut world = World::of(100, "20/s").await;
    let welcome = json!({ "kind": "welcome", "tenant": "acme" });
    let campaign = world.start(welcome.clone()).await;
    world.sent(&campaign, 10).await;
    let (status, cancelled) = world.tell(&campaign, "cancel").await;
    assert_eq!((status, &cancelled["state"]), (200, &json!("cancelled")), "{cancelled}");
    assert!(count(&cancelled, "dropped") > 10, "{cancelled}");
    world.nothing_leaves(&campaign).await;
    world.gateway.restart().await;
    world.nothing_leaves(&campaign).await;
    let over = world.look(&campaign).await;
    adds_up(&over);
    assert_eq!(count(&over, "sent") + count(&over, "dropped"), 100, "{over}");
    assert_eq!(world.tell(&campaign, "resume").await.0, 409);
    let log = world.gateway.logs("campaign_cancelled").await;
    for event in ["campaign_started", "campaign_cancelled"] {
        assert!(log.contains(event), "{event} is not in the log");
    }
    world.start(welcome).await;
}

/// Interfaces: a token of scope `read` looks at campaigns and starts, pauses or cancels none.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_may_only_read_starts_nothing() {
    let world = World::of(30, "2/s").await;
    let campaign = world.start(json!({ "kind": "welcome", "tenant": "acme" })).await;
    let (_, token, _) = world.passgate(&["token", "create", "--scope", "read"]).await;
    let client = reqwest::Client::new();
    let url = format!("http://{}{CAMPAIGNS}", world.gateway.admin);
    let one = format!("{url}/{}", campaign["id"].as_str().unwrap());
    let asked = client.get(&one).bearer_auth(token.trim()).send().await.unwrap();
    assert_eq!(asked.status(), 200);
    assert_eq!(asked.json::<Value>().await.unwrap()["id"], campaign["id"]);
    let body = json!({ "kind": "welcome", "tenant": ABC_COMPANY });
    for url in [url.clone(), format!("{one}/pause"), format!("{one}/cancel")] {
        let told = client.post(&url).bearer_auth(token.trim()).json(&body).send().await.unwrap();
        assert_eq!(told.status(), 403, "{url}");
    }
    assert_eq!(client.post(&url).json(&body).send().await.unwrap().status(), 401);
    let (_, list) = world.gateway.api("GET", CAMPAIGNS, Value::Null).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
    assert_eq!(list["items"][0]["state"], "running");
}

/// R-E1, R-E2: the same from the command line, in words and in JSON.
#[tokio::test(flavor = "multi_thread")]
async fn campaigns_from_the_command_line() {
    let world = World::of(5, "50/s").await;
    assert_eq!(world.passgate(&["campaign", "status"]).await.0, Some(1), "there is none yet");
    let start = ["campaign", "start", "welcome", "--tenant", "acme"];
    let (code, said, _) = world.passgate(&[&start[..], &["--dry-run"]].concat()).await;
    assert_eq!(code, Some(0));
    assert!(said.contains("dry_run"), "{said}");
    let (code, done, said) = world.passgate(&[&start[..], &["--wait", "--json"]].concat()).await;
    assert_eq!(code, Some(0), "{said}");
    let done: Value = serde_json::from_str(&done).unwrap();
    assert_eq!((&done["state"], count(&done, "sent")), (&json!("finished"), 5), "{done}");
    assert_eq!(world.arrived().await, 5);

    // The mail server refuses one of two for good: the exit code and the words say so.
    world.smtp.fail_with(json!({ "rcpt": "550 5.7.1 not wanted here" })).await;
    let picked = ["campaign", "start", "reminder", &login(0), &login(1), "--wait"];
    let (code, table, said) = world.passgate(&picked).await;
    assert_eq!(code, Some(1), "{table}");
    assert!(
        said.contains("2 mails were given up; see `passgate mail list --state dead`"),
        "{said}"
    );
    world.smtp.work_again().await;
    let (_, dead, _) = world.passgate(&["mail", "list", "--state", "dead", "--json"]).await;
    let dead: Value = serde_json::from_str(&dead).unwrap();
    let mail = dead["items"][0]["id"].as_str().unwrap();
    assert_eq!(world.passgate(&["mail", "retry", mail]).await.0, Some(0));
    let after = async || {
        let (_, shown, _) = world.passgate(&["campaign", "status", "--json"]).await;
        serde_json::from_str::<Value>(&shown).unwrap()
    };
    until(async || count(&after().await, "sent") == 1).await;
    assert_eq!(count(&after().await, "failed"), 1, "the other one is still dead");

    world.smtp.fail_with(json!({ "refuse": true })).await;
    let (_, begun, _) = world.passgate(&[&start[..], &["--json"]].concat()).await;
    let begun: Value = serde_json::from_str(&begun).unwrap();
    let id = begun["id"].as_str().unwrap();
    let (code, _, said) = world.passgate(&start).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("the same campaign is running already") && said.contains(id), "{said}");
    for (order, state) in [("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")] {
        let (code, shown, said) = world.passgate(&["campaign", order, id]).await;
        assert_eq!(code, Some(0), "{said}");
        assert!(shown.contains(state), "{shown}");
    }
    let (code, _, said) = world.passgate(&["campaign", "resume", id]).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("cancelled already"), "{said}");
    let (_, table, _) = world.passgate(&["campaign", "list"]).await;
    assert_eq!(table.lines().count(), 4, "{table}");
    for words in ["CAMPAIGN", id, "acme", "selected", "finished", "cancelled"] {
        assert!(table.contains(words), "{words} is not in\n{table}");
    }
    let (_, table, _) = world.passgate(&["campaign", "list", "--state", "cancelled"]).await;
    assert_eq!(table.lines().count(), 2, "{table}");
}

/// R-D4: an import with `--welcome` e-mails those whom it makes, all or nothing; nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn an_import_welcomes_the_new() {
    let mut world = World::of(2, "50/s").await;
    let directory = world.gateway.directory().to_owned();
    let import = async |world: &World, csv: &str, more: &[&str]| {
        let file = directory.join("people.csv");
        std::fs::write(&file, csv).unwrap();
        let file = file.display().to_string();
        world.passgate(&[&["accounts", "import", &file, "--welcome"], more].concat()).await
    };
    let bad = "login,email\n3000@acme,new@corp.example\nnonsense,\n";
    assert_eq!(import(&world, bad, &[]).await.0, Some(1));
    assert_eq!(world.gateway.account("3000@acme").await, Value::Null);

    let csv = format!(
        "login,email\n{},changed@corp.example\n3000@acme,new@corp.example\n3001@acme,\n\
         3002@acme,other@corp.example\n",
        login(0)
    );
    let (code, said, _) = import(&world, &csv, &["--dry-run"]).await;
    assert_eq!(code, Some(0));
    assert!(said.contains("welcome mails: 2, new accounts without an e-mail address: 1"), "{said}");
    assert_eq!(world.gateway.outbox().await, [Value::Null; 0]);
    // Killed at once: what was answered is kept, and goes out.
    world.smtp.fail_with(json!({ "refuse": true })).await;
    let (code, said, _) = import(&world, &csv, &["--json"]).await;
    world.gateway.kill_and_run_again().await;
    world.smtp.work_again().await;
    assert_eq!(code, Some(0));
    let report: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&report["created"], &report["updated"]), (&json!(3), &json!(1)), "{report}");
    let welcome = &report["welcome"];
    assert_eq!((&welcome["total"], &welcome["without_email"]), (&json!(2), &json!(1)), "{report}");
    world.gateway.advance("1m").await;
    let campaign = json!({ "id": welcome["campaign"] });
    let done = world.finished(&campaign).await;
    assert_eq!((&done["audience"], count(&done, "sent")), (&json!("imported"), 2), "{done}");
    for to in ["new@corp.example", "other@corp.example"] {
        let mail = world.smtp.mail_to(to).await;
        assert_eq!(world.gateway.client().get(mail.path()).await.status, 200);
    }
    assert_eq!(world.smtp.mails().await.len(), 2, "nobody who was there before");
    let (code, said, _) = import(&world, &csv, &[]).await;
    assert_eq!(code, Some(0));
    assert!(said.contains("welcome mails: 0"), "{said}");
    assert_eq!(world.smtp.mails().await.len(), 2);
}

/// Without `mail.url` nothing is begun, and nobody imported without their welcome.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_mail_server_nothing_begins() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let (status, problem) = gateway.api("POST", CAMPAIGNS, json!({ "kind": "welcome" })).await;
    assert_eq!((status, &problem["reason"]), (409, &json!("mail_off")), "{problem}");
    let csv = "login,email\n3000@acme,new@corp.example\n";
    let (status, problem) = gateway.import("?send_welcome=true", csv).await;
    assert_eq!((status, &problem["reason"]), (409, &json!("mail_off")), "{problem}");
    assert_eq!(gateway.account("3000@acme").await, Value::Null);
}
