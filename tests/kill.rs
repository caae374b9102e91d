//! The process is killed (SIGKILL) at random points of set-password with PIN write-back, against a
//! PBX that answers right, late, not at all, or no (R-B4; faults of the threat model).

use std::fmt::Write as _;
use std::time::Duration;

use futures::future::join_all;
use passgate::demo::portal::{Failure, PortalUser};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;

use crate::support::{ABC_COMPANY, Client, Gateway, PORTAL_ADMIN, Pbx, Settings, at, until};

const PASSWORD: &str = "Lighthouse-42";

/// People who choose at the same time: one kill meets each of them at another point.
const PEOPLE: usize = 10;

/// How the PBX answers the write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answers {
    Right,
    Late,
    Lost,
    Refused,
    /// Right, but the PBX is down when the gateway starts again.
    ThenDown,
}

/// What was found after the restarts.
#[derive(Debug, Default)]
struct Found {
    points: usize,
    /// Kills that met the write-back between its first and its last step.
    in_the_middle: usize,
    old_pair: usize,
    new_pair: usize,
    /// Of the new pairs: those whose PIN was still being written when the password worked already.
    was_pending: usize,
}

/// R-B4: the old pair or the new pair works, never neither, and at the end the journal is empty.
/// `PASSGATE_KILL_POINTS` sets how many points of each kind are tried; docs/write-back.md has the
/// table of a longer run.
#[tokio::test(flavor = "multi_thread")]
async fn the_old_pair_or_the_new_pair_works() {
    let points: usize = std::env::var("PASSGATE_KILL_POINTS")
        .map_or(PEOPLE, |number| number.parse().expect("a number"));
    let mut table = String::from(
        "| the PBX's answer | kill points | in the middle | old pair works | new pair works | of these: PIN pending first |\n\
         |---|---|---|---|---|---|\n",
    );
    for answers in
        [Answers::Right, Answers::Late, Answers::Lost, Answers::Refused, Answers::ThenDown]
    {
        let found = kill_again_and_again(answers, points).await;
        let Found { points, in_the_middle, old_pair, new_pair, was_pending } = found;
        if answers == Answers::Refused {
            assert_eq!(new_pair, 0, "the PBX never took a PIN: {found:?}");
        }
        let row = format!(
            "| {answers:?} | {points} | {in_the_middle} | {old_pair} | {new_pair} | {was_pending} |\n"
        );
        write!(table, "{row}").unwrap();
    }
    eprintln!("{table}");
}

async fn kill_again_and_again(answers: Answers, points: usize) -> Found {
    let rounds = points.div_ceil(PEOPLE);
    let person = |number: usize| format!("{}", 2000 + number);
    let pbx = Pbx::with(|options| {
        let people = (0..rounds * PEOPLE)
            .map(|number| PortalUser::new(&person(number), ABC_COMPANY, &old_pin(number), "P"));
        options.users.extend(people);
    })
    .await;
    let more = PORTAL_ADMIN.into();
    let mut gateway = Gateway::with(&pbx, Settings { more, ..Settings::in_phase("force") }).await;
    let mut found = Found::default();
    for round in 0..rounds {
        let numbers: Vec<usize> = (round * PEOPLE..(round + 1) * PEOPLE).collect();
        answer(&pbx, answers);
        let browsers = join_all(numbers.iter().map(async |number| {
            let browser = gateway.client();
            let login = format!("{}@{ABC_COMPANY}", person(*number));
            let held = browser.log_in(&login, &old_pin(*number)).await;
            assert_eq!(held.location(), "/account/set-password");
            let csrf = browser.get("/account/set-password").await.input("csrf");
            (*number, browser, csrf)
        }))
        .await;
        // Spread so that the kill meets some before they begin and some after they are done.
        let span = Duration::from_millis(1500);
        let tasks: Vec<_> = browsers
            .into_iter()
            .map(|(number, browser, csrf)| {
                let begin = random_part_of(span);
                tokio::spawn(async move {
                    tokio::time::sleep(begin).await;
                    choose(&browser, &csrf, &new_pin(number)).await;
                })
            })
            .collect();
        tokio::time::sleep(span * 2 / 3).await;
        gateway.kill().await;
        for task in tasks {
            task.abort();
        }
        found.in_the_middle += open_rows(&gateway).await;
        if answers == Answers::ThenDown {
            pbx.0.fail_with(Failure::Close);
            pbx.fail_writes(Failure::Close);
        }
        gateway.run_again(at("force")).await;
        let logins = numbers.into_iter().map(|n| (n, format!("{}@{ABC_COMPANY}", person(n))));
        let mut states = Vec::new();
        for (number, login) in logins {
            let state = gateway.account(&login).await["state"].as_str().unwrap().to_owned();
            let pending = write_back_of(&gateway, &login).await;
            states.push((number, login, state == "password", pending));
        }
        pbx.0.fail_with(Failure::None);
        pbx.fail_writes(Failure::None);
        pbx.0.fail_on_method("GET", "/ns-api", Failure::None);
        for (number, login, has_password, pending) in states {
            found.points += 1;
            found.was_pending += usize::from(pending);
            judge(&gateway, &pbx, &login, number, (has_password, pending)).await;
            found.new_pair += usize::from(has_password);
            found.old_pair += usize::from(!has_password);
        }
    }
    found
}

/// One pair works, whole: portal and voicemail.
async fn judge(
    gateway: &Gateway,
    pbx: &Pbx,
    login: &str,
    number: usize,
    (has_password, pending): (bool, bool),
) {
    if has_password {
        let answer = gateway.client().log_in(login, PASSWORD).await;
        assert_eq!(answer.location(), "/portal/home", "{number}: the new password opens");
        if pending {
            // The background looks again when it is due.
            gateway.advance("1m").await;
        }
        until(async || !write_back_of(gateway, login).await).await;
        assert_eq!(pbx.pin_of(login), new_pin(number), "{number}: the new PIN opens voicemail");
    } else {
        assert!(!pending, "{number}: nothing is open at the old pair");
        let answer = gateway.client().log_in(login, &old_pin(number)).await;
        assert_eq!(answer.location(), "/account/set-password", "{number}: the old PIN is let in");
        assert_eq!(pbx.pin_of(login), old_pin(number), "{number}: the old PIN opens voicemail");
    }
}

fn answer(pbx: &Pbx, answers: Answers) {
    // Reading takes its time, too: the proof is a part of the middle.
    pbx.0.fail_on_method("GET", "/ns-api", Failure::Slow(Duration::from_millis(150)));
    pbx.fail_writes(match answers {
        Answers::Right | Answers::ThenDown => Failure::Slow(Duration::from_millis(500)),
        Answers::Late => Failure::Later(Duration::from_millis(300)),
        Answers::Lost => Failure::CarriedOutThenClose,
        Answers::Refused => Failure::Status(400),
    });
}

/// How many write-backs the process left behind that was just killed.
async fn open_rows(gateway: &Gateway) -> usize {
    let file = gateway.directory().join("data/passgate.db");
    let options = SqliteConnectOptions::new().filename(file).read_only(true);
    let mut database = options.connect().await.unwrap();
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM pin_journal WHERE stage = 'writing'")
        .fetch_one(&mut database)
        .await
        .unwrap();
    usize::try_from(rows).unwrap()
}

async fn write_back_of(gateway: &Gateway, login: &str) -> bool {
    let account = gateway.account(login).await;
    let path = format!("/api/v1/accounts/{}", account["id"].as_str().unwrap());
    let (status, account) = gateway.api("GET", &path, serde_json::Value::Null).await;
    assert_eq!(status, 200, "{account}");
    account["pin_write_back"] == "pending"
}

async fn choose(browser: &Client, csrf: &str, pin: &str) {
    let form = [("csrf", csrf), ("pin", pin), ("password", PASSWORD), ("confirm", PASSWORD)];
    let request = browser.request(reqwest::Method::POST, "/account/set-password");
    // The process dies meanwhile: what comes back, if anything, says nothing.
    let _ = request.header("origin", &browser.base).form(&form).send().await;
}

fn random_part_of(span: Duration) -> Duration {
    let thousandths = u32::try_from(getrandom::u64().unwrap() % 1000).unwrap();
    span * thousandths / 1000
}

fn old_pin(number: usize) -> String {
    format!("7{:05}", (number * 7919 + 40_961) % 100_000)
}

fn new_pin(number: usize) -> String {
    format!("8{:05}", (number * 6841 + 50_833) % 100_000)
}
