//! Mails on their way (security.md "Faults": SMTP down, slow, 4xx, 5xx; kill -9): nothing is lost,
//! nothing goes out twice but under the same `Message-ID`, and links live from their hand-over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures::future::join_all;
use passgate::demo::portal::PortalUser;
use serde_json::{Value, json};

use crate::support::{ABC_COMPANY, Client, Gateway, Pbx, Settings, Smtp, until};

const PIN: &str = "48151";
const PASSWORD: &str = "Lighthouse-42";
const WORDS: [(&str, &str); 2] = [("password", PASSWORD), ("confirm", PASSWORD)];

pub struct World {
    pub smtp: Smtp,
    pub gateway: Gateway,
    // Ends with the test.
    _pbx: Pbx,
}

/// One of the people of these tests.
pub fn login(number: usize) -> String {
    format!("{}@{ABC_COMPANY}", 2000 + number)
}

pub fn address(number: usize) -> String {
    format!("p{number}@corp.example")
}

impl World {
    /// So many people, with an address each.
    pub async fn of(people: usize, phase: &str) -> Self {
        Self::with(people, phase, "").await
    }

    /// The same, with further keys of `[mail]`.
    pub async fn with(people: usize, phase: &str, mail: &str) -> Self {
        let smtp = Smtp::start().await;
        let pbx = Pbx::with(|options| {
            let person = |n| PortalUser::new(&format!("{}", 2000 + n), ABC_COMPANY, PIN, "Pat");
            options.users.extend((0..people).map(person));
        })
        .await;
        let settings = Settings::with_mail(phase, &smtp);
        let more = settings.more + mail;
        let gateway = Gateway::with(&pbx, Settings { more, ..settings }).await;
        let rows: String = (0..people).map(|n| format!("{},{}\n", login(n), address(n))).collect();
        assert_eq!(gateway.import("", &format!("login,email\n{rows}")).await.0, 200);
        Self { smtp, gateway, _pbx: pbx }
    }

    /// An administrator has a reset link sent.
    pub async fn ask(&self, number: usize) {
        self.gateway.ask(&login(number), "reset").await;
    }

    /// What the outbox knows of the latest mail to this person.
    pub async fn mail(&self, number: usize) -> Value {
        let mut mails = self.gateway.outbox().await.into_iter();
        mails.find(|mail| mail["to"] == address(number)).unwrap()
    }

    /// Waits until every mail in the outbox is so.
    pub async fn all(&self, are: impl Fn(&Value) -> bool) {
        until(async || self.gateway.outbox().await.iter().all(&are)).await;
    }

    /// Time passes, and every mail is tried in vain once more.
    pub async fn in_vain(&self, wait: &str) {
        self.gateway.advance(wait).await;
        let now = self.now().await;
        let tried = |mail: &Value| {
            let next = mail["next_attempt_at"].as_str();
            mail["state"] != "queued" || next.is_some_and(|next| next > now.as_str())
        };
        self.all(tried).await;
    }

    async fn now(&self) -> String {
        let (_, clock) = self.gateway.api("GET", "/api/v1/clock", Value::Null).await;
        clock["now"].as_str().unwrap().to_owned()
    }

    async fn ready(&self) {
        let answer = reqwest::get(format!("http://{}/readyz", self.gateway.admin)).await.unwrap();
        assert_eq!(answer.status(), 200);
    }

    /// The status of a link, and no trace of it in the outbox.
    async fn opens(&self, link: &str) -> u16 {
        let listed = Value::from(self.gateway.outbox().await).to_string();
        let code = link.split_once("?code=").unwrap().1;
        assert!(!listed.contains(code) && !listed.contains("code="), "{listed}");
        self.gateway.client().get(link).await.status
    }
}

pub fn is(state: &'static str) -> impl Fn(&Value) -> bool {
    move |mail| mail["state"] == state
}

/// The mail server is down for an hour: nobody but the waiting mails notices. When it is back every
/// mail goes out once, and its link works for an hour from that moment.
#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_is_down_for_an_hour() {
    let world = World::of(5, "warn").await;
    world.smtp.fail_with(json!({ "refuse": true })).await;
    join_all((0..5).map(|number| world.ask(number))).await;
    for _ in 0..6 {
        world.in_vain("10m").await;
        world.ready().await;
        for mail in world.gateway.outbox().await {
            assert_eq!((&mail["state"], &mail["attempts"]), (&json!("queued"), &json!(0)));
            let why = mail["last_error"].as_str().unwrap();
            assert!(why.contains("cannot be reached"), "{why}");
        }
    }
    world.smtp.work_again().await;
    world.gateway.advance("30s").await;
    let mut ids = BTreeSet::new();
    let mut links = Vec::new();
    for number in 0..5 {
        let mail = world.smtp.mail_to(&address(number)).await;
        assert!(mail.text.contains("for 1 hour: until 14:"), "{}", mail.text);
        links.push(mail.path().to_owned());
        ids.insert(mail.id().to_owned());
    }
    world.all(is("sent")).await;
    world.gateway.advance("59m").await;
    for link in &links {
        assert_eq!(world.opens(link).await, 200);
    }
    world.gateway.advance("1m").await;
    assert_eq!(world.opens(&links[0]).await, 410);
    assert_eq!((world.smtp.mails().await.len(), ids.len()), (5, 5), "each once");
}

/// "Try again later" at any point of a mail: it is, a minute later, and goes out once.
#[tokio::test(flavor = "multi_thread")]
async fn later_means_later() {
    let world = World::of(3, "warn").await;
    for (number, step) in ["mail", "rcpt", "data"].into_iter().enumerate() {
        world.smtp.fail_with(json!({ step: "451 4.3.0 try again" })).await;
        world.ask(number).await;
        until(async || world.mail(number).await["last_error"].is_string()).await;
        let waiting = world.mail(number).await;
        assert_eq!((&waiting["state"], &waiting["attempts"]), (&json!("queued"), &json!(1)));
        assert!(waiting["last_error"].as_str().unwrap().contains("try again"), "{waiting}");
        // Again in vain: the next wait is longer.
        world.in_vain("1m").await;
        assert_eq!(world.mail(number).await["attempts"], 2);
        world.smtp.work_again().await;
        world.gateway.advance("2m").await;
        let mail = world.smtp.mail_to(&address(number)).await;
        until(async || world.mail(number).await["state"] == "sent").await;
        let sent = world.mail(number).await;
        assert_eq!((&sent["attempts"], &sent["last_error"]), (&json!(3), &Value::Null));
        assert_eq!(world.opens(mail.path()).await, 200);
    }
    assert_eq!(world.smtp.mails().await.len(), 3, "each once");
}

/// "Never" makes a dead letter that an administrator sees, with the server's words, and can have
/// tried again. It stops nobody else's mail.
#[tokio::test(flavor = "multi_thread")]
async fn never_means_a_dead_letter() {
    let world = World::of(2, "warn").await;
    world.smtp.fail_with(json!({ "rcpt": "550 5.7.1 not wanted here" })).await;
    world.ask(0).await;
    until(async || world.mail(0).await["state"] == "dead").await;
    let (status, list) = world.gateway.api("GET", "/api/v1/outbox?state=dead", Value::Null).await;
    assert_eq!(status, 200);
    let dead = &list["items"][0];
    assert_eq!((&dead["to"], &dead["attempts"]), (&json!(address(0)), &json!(1)), "{list}");
    assert!(dead["last_error"].as_str().unwrap().contains("not wanted here"), "{dead}");
    world.smtp.work_again().await;
    world.ask(1).await;
    world.smtp.mail_to(&address(1)).await;
    world.gateway.advance("3h").await;
    assert_eq!(world.mail(0).await["state"], "dead", "time alone changes nothing");

    let path = format!("/api/v1/outbox/{}/retry", dead["id"].as_str().unwrap());
    let (status, again) = world.gateway.api("POST", &path, Value::Null).await;
    assert_eq!((status, &again["state"]), (200, &json!("queued")), "{again}");
    let mail = world.smtp.mail_to(&address(0)).await;
    assert_eq!(world.opens(mail.path()).await, 200, "its hour begins at the hand-over");
    world.all(is("sent")).await;
    assert_eq!(world.gateway.api("POST", &path, Value::Null).await.0, 409, "it was sent");
    assert_eq!(world.smtp.mails().await.len(), 2);
}

/// The server takes a mail and closes before it says so: it comes once more, under the same
/// `Message-ID`. Either link works until one of them was used.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost() {
    let world = World::of(1, "warn").await;
    world.smtp.fail_with(json!({ "lose_answer": true })).await;
    world.ask(0).await;
    let first = world.smtp.mail_to(&address(0)).await;
    until(async || world.mail(0).await["last_error"].is_string()).await;
    world.smtp.work_again().await;
    world.gateway.advance("1m").await;
    let second = world.smtp.mail_to(&address(0)).await;
    world.all(is("sent")).await;
    assert_eq!(first.id(), second.id());
    assert_ne!(first.code(), second.code());
    let links = [first.path(), second.path()];
    for link in links {
        assert_eq!(world.opens(link).await, 200);
    }
    let saved = world.gateway.client().use_link(links[0], &WORDS).await;
    assert_eq!(saved.location(), "/portal/home");
    for link in links {
        assert_eq!(world.opens(link).await, 410);
    }
    assert_eq!(world.smtp.mails().await.iter().filter(|mail| mail.id() == first.id()).count(), 2);
}

/// A mail server that does not take our login says nothing about the mails: they wait, however
/// long, up to two days; then they are dead letters and can be revived.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_kills_no_mail() {
    let world = World::of(3, "warn").await;
    world.smtp.fail_with(json!({ "auth": "535 5.7.8 authentication failed" })).await;
    join_all((0..3).map(|number| world.ask(number))).await;
    for wait in ["1h", "10h", "36h"] {
        world.in_vain(wait).await;
        for mail in world.gateway.outbox().await {
            assert_eq!((&mail["state"], &mail["attempts"]), (&json!("queued"), &json!(0)));
            let why = mail["last_error"].as_str().unwrap();
            assert!(why.contains("does not take the login"), "{why}");
        }
    }
    world.gateway.advance("2h").await;
    world.all(is("dead")).await;
    world.smtp.work_again().await;
    for mail in world.gateway.outbox().await {
        let path = format!("/api/v1/outbox/{}/retry", mail["id"].as_str().unwrap());
        assert_eq!(world.gateway.api("POST", &path, Value::Null).await.0, 200);
    }
    for number in 0..3 {
        world.smtp.mail_to(&address(number)).await;
    }
    world.all(is("sent")).await;
    assert_eq!(world.smtp.mails().await.len(), 3);
}

/// `mail.rate`: no burst is larger, and no mail is forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn mails_leave_at_the_configured_rate() {
    let world = World::with(9, "warn", "rate = \"3/s\"\n").await;
    join_all((0..9).map(|number| world.ask(number))).await;
    let mut times = Vec::new();
    until(async || !world.smtp.mails().await.is_empty()).await;
    let begun = Instant::now();
    while times.len() < 9 {
        let (count, at) = (world.smtp.mails().await.len(), begun.elapsed());
        times.resize(count, at);
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(at < Duration::from_secs(30), "{times:?}");
    }
    for burst in times.windows(4) {
        let took = burst[3] - burst[0];
        assert!(took > Duration::from_millis(500), "four of three a second: {times:?}");
    }
    assert!(times[8] < Duration::from_secs(10), "{times:?}");
}

/// A mail that says what is no longer so is not sent: its link would not work. It can be asked for
/// anew at once, and does not count.
#[tokio::test(flavor = "multi_thread")]
async fn mails_that_are_not_needed_any_more() {
    let world = World::of(4, "warn").await;
    let gateway = &world.gateway;
    world.smtp.fail_with(json!({ "refuse": true })).await;
    join_all((0..4).map(|number| world.ask(number))).await;
    let browser: Client = gateway.client();
    assert_eq!(browser.log_in(&login(0), PIN).await.location(), "/portal/home");
    assert_eq!(browser.set_password(PIN, PASSWORD).await.status, 303);
    let change = json!({ "email": "new@corp.example" });
    let account = |number| format!("/api/v1/accounts/{}", login(number));
    assert_eq!(gateway.api("PATCH", &account(1), change).await.0, 200);
    gateway.ask(&login(2), "disable").await;
    assert_eq!(gateway.api("DELETE", &account(3), Value::Null).await.0, 204);
    world.smtp.work_again().await;
    gateway.advance("1m").await;
    world.all(|mail| mail["state"] == "sent" || mail["state"] == "dropped").await;

    let report = world.smtp.mail_to(&address(0)).await;
    assert_eq!(report.subject(), "Your portal password was set");
    assert_eq!(world.smtp.mails().await.len(), 1, "and nothing else");
    assert_eq!(gateway.outbox().await.iter().filter(|mail| is("dropped")(mail)).count(), 3);
    let path = format!("/api/v1/outbox/{}/retry", world.mail(1).await["id"].as_str().unwrap());
    assert_eq!(gateway.api("POST", &path, Value::Null).await.0, 409);
    assert_eq!(gateway.ask(&login(1), "reset").await["mail"], "queued");
    let link = world.smtp.mail_to("new@corp.example").await;
    assert_eq!(world.opens(link.path()).await, 200);
}

/// kill -9 while mails are asked for and handed over, again and again: whoever was promised a mail
/// gets it; what arrives twice has the same `Message-ID`, and there is at most one such for each
/// kill.
#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again() {
    const PEOPLE: usize = 20;
    let mut world = World::of(PEOPLE, "reject").await;
    world.smtp.fail_with(json!({ "refuse": true })).await;
    let logins: Vec<_> = (0..PEOPLE)
        .map(|number| {
            let browser = world.gateway.client();
            tokio::spawn(async move {
                let form = [
                    ("data[Login][username]", login(number)),
                    ("data[Login][password]", PIN.into()),
                ];
                let request = browser.request(reqwest::Method::POST, "/portal/login");
                request.form(&form).send().await.is_ok_and(|answer| answer.status() == 303)
            })
        })
        .collect();
    until(async || world.gateway.outbox().await.len() >= 3).await;
    world.gateway.kill_and_run_again().await;
    let mut promised = 0;
    for (number, answered) in join_all(logins).await.into_iter().enumerate() {
        let waits = world.gateway.outbox().await.iter().any(|mail| mail["to"] == address(number));
        assert!(waits || !answered.unwrap(), "{number} was promised a mail");
        promised += usize::from(waits);
        let told = world.gateway.client().log_in(&login(number), PIN).await;
        assert_eq!(told.location(), "/portal/login");
    }
    assert!(promised >= 3);
    assert_eq!(world.gateway.outbox().await.len(), PEOPLE, "one for each of them");

    let slow = json!({ "slow": 0.04 });
    let faults =
        [&json!({ "hang": "rcpt" }), &json!({ "hang": "data" }), &slow, &slow, &slow, &slow];
    for fault in faults {
        world.smtp.fail_with(fault.clone()).await;
        world.gateway.advance("3m").await;
        let point = 200 + getrandom::u64().unwrap() % 1200;
        tokio::time::sleep(Duration::from_millis(point)).await;
        world.gateway.kill_and_run_again().await;
    }
    // What hung went on, although nobody was there any more to hear the answer.
    world.smtp.work_again().await;
    world.gateway.advance("3m").await;
    world.all(is("sent")).await;

    let mut arrived = BTreeMap::<String, Vec<String>>::new();
    for mail in world.smtp.mails().await {
        arrived.entry(mail.recipients.concat()).or_default().push(mail.id().to_owned());
        assert_eq!(world.opens(mail.path()).await, 200, "every link that arrived works");
    }
    assert_eq!(arrived.len(), PEOPLE, "none is lost: {arrived:?}");
    let ids: BTreeSet<&String> = arrived.values().flatten().collect();
    assert_eq!(ids.len(), PEOPLE, "each has one Message-ID: {arrived:?}");
    let again = arrived.values().map(|ids| ids.len() - 1).sum::<usize>();
    assert!(again <= faults.len(), "{again} came again: {arrived:?}");
}

/// R-A4: an address that was put right gets its mail at once. When the account had all its mails of
/// this hour, the page says where and when the last one really went, and an administrator is told
/// the same.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_of_a_mail_that_was_not_sent() {
    let world = World::of(1, "reject").await;
    let told = async || {
        let browser = world.gateway.client();
        assert_eq!(browser.log_in(&login(0), PIN).await.location(), "/portal/login");
        let page = browser.get("/portal/login").await.text().replace("&#8226;", "•");
        let said = page.split("We sent a link to set your portal password to ").nth(1).unwrap();
        said.split(';').next().unwrap().to_owned()
    };
    let on_file = async |email: &str| {
        let path = format!("/api/v1/accounts/{}", login(0));
        assert_eq!(world.gateway.api("PATCH", &path, json!({ "email": email })).await.0, 200);
    };
    let wrong = "p•••@c•••.example at 12:0";
    assert!(told().await.starts_with(wrong));
    on_file("zoe@home.example").await;
    assert!(told().await.starts_with("z•••@h•••.example at 12:0"), "at once");
    on_file(&address(0)).await;
    world.gateway.advance("3m").await;
    assert!(told().await.starts_with(wrong));
    on_file("zoe@home.example").await;
    assert!(told().await.starts_with(wrong), "the third went there");
    let answer = world.gateway.ask(&login(0), "reset").await;
    assert_eq!((&answer["mail"], &answer["to"]), (&json!("already"), &json!(address(0))));
    world.gateway.advance("1h").await;
    assert!(told().await.starts_with("z•••@h•••.example at 13:"));
}
