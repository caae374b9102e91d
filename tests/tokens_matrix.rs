//! Who gets tokens (R-F1, R-F2): every shape of request, in every phase, for every state of an
//! account, in both modes, against the example PBX's API.

use passgate::demo::portal::{ABC_COMPANY, PortalUser};
use serde_json::Value;

use crate::support::{APP, App, Gateway, MARK, Pbx, Person, Said, Settings, Shape, at};

const PHASES: [&str; 4] = ["quiet", "warn", "force", "reject"];
const PASSWORD: &str = "Lighthouse-42";
/// A PIN by its form; nobody's.
const WRONG: &str = "90909";

/// How Passgate knows somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    PinOnly,
    /// Before their first login anywhere.
    Unknown,
    Password,
    Disabled,
}

impl State {
    const ALL: [Self; 4] = [Self::PinOnly, Self::Unknown, Self::Password, Self::Disabled];
}

/// What is promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Promise {
    Tokens,
    /// With everything that says that the PIN's time is coming.
    TokensAndNotice,
    Wrong,
    TooLate,
}

fn promised(state: State, phase: &str, secret: &str) -> Promise {
    match (state, secret, phase) {
        (State::Disabled, ..) | (_, WRONG, _) => Promise::Wrong,
        (State::Password, PASSWORD, _) => Promise::Tokens,
        (State::Password, ..) | (_, PASSWORD, _) => Promise::Wrong,
        (_, _, "quiet") => Promise::Tokens,
        (_, _, "warn") => Promise::TokensAndNotice,
        _ => Promise::TooLate,
    }
}

/// Each case has a person of its own, so that no failure of one counts for another.
fn person(state: State, shape: Shape, phase: &str) -> Person {
    let place = |found: Option<usize>| found.unwrap();
    let state_at = place(State::ALL.iter().position(|other| *other == state));
    let shape_at = place(Shape::ALL.iter().position(|other| *other == shape));
    // Who is unknown is so only once.
    let phase_at = match state {
        State::Unknown => place(PHASES.iter().position(|other| *other == phase)),
        _ => 0,
    };
    let number = 3000 + state_at * 100 + shape_at * 10 + phase_at;
    Person { login: format!("{number}@{ABC_COMPANY}"), pin: format!("6{number}") }
}

fn everybody() -> Vec<(State, Person)> {
    let mut people = Vec::new();
    for state in State::ALL {
        for shape in Shape::ALL {
            let phases = if state == State::Unknown { &PHASES[..] } else { &PHASES[..1] };
            people.extend(phases.iter().map(|phase| (state, person(state, shape, phase))));
        }
    }
    people
}

/// The example PBX with all of them, and a gateway that knows those whom it should.
async fn prepared(mode: &str) -> (Pbx, Gateway) {
    let pbx = Pbx::with(|options| {
        options.users.extend(everybody().into_iter().map(|(_, person)| {
            let (extension, tenant) = person.login.split_once('@').unwrap();
            PortalUser::new(extension, tenant, &person.pin, "Somebody")
        }));
    })
    .await;
    let more = format!("[tokens]\nmode = \"{mode}\"\n");
    let gateway = Gateway::with(&pbx, Settings { more, ..Settings::in_phase("quiet") }).await;
    for (state, person) in everybody() {
        match state {
            State::Unknown => {}
            State::PinOnly => gateway.put_on_file(&person.login, "").await,
            State::Password => {
                let browser = gateway.client().signed_in(&person).await;
                let saved = browser.set_password(&person.pin, PASSWORD).await;
                assert!(saved.status < 400, "{}", saved.text());
            }
            State::Disabled => {
                gateway.put_on_file(&person.login, "").await;
                gateway.ask(&person.login, "disable").await;
            }
        }
    }
    (pbx, gateway)
}

fn check(said: &Said, promise: Promise, mode: &str, case: &str) {
    said.check_form();
    let notice = ["deprecation", "sunset", "link"].map(|name| said.header(name));
    match promise {
        Promise::Tokens | Promise::TokensAndNotice => {
            let (access, _) = said.tokens();
            assert_eq!(access.matches('.').count() == 2, mode == "jwt", "{case}: {access}");
            assert_eq!(said.body["token_type"], "Bearer", "{case}");
            assert_eq!(said.body["expires_in"], 3600, "{case}");
            // What else the PBX says stays.
            assert_eq!(said.body["scope"], "Basic User", "{case}");
            assert_eq!(said.body["displayName"], "Somebody", "{case}");
        }
        Promise::Wrong | Promise::TooLate => {
            assert_eq!((said.status, said.error()), (400, "invalid_grant"), "{case}");
        }
    }
    match promise {
        Promise::TokensAndNotice => {
            let expected = [
                Some("@1924992000"),
                Some("Thu, 01 Jan 2032 00:00:00 GMT"),
                Some("<https://localhost/account/help>; rel=\"deprecation\"; type=\"text/html\""),
            ];
            assert_eq!(notice, expected, "{case}");
            let words = said.body["password_notice"].as_str().unwrap();
            assert!(words.contains("https://localhost/account/security"), "{case}: {words}");
        }
        _ => {
            assert_eq!(notice, [None; 3], "{case}");
            assert_eq!(said.body.get("password_notice"), None, "{case}");
        }
    }
    if promise == Promise::TooLate {
        let words = "The voicemail PIN is no longer accepted. Set a portal password at \
                     https://localhost/account/security and use it here.";
        assert_eq!(said.words(), words, "{case}");
    }
    if promise == Promise::Wrong {
        assert_eq!(said.words(), "The user name or the password is wrong.", "{case}");
    }
}

/// What the PBX saw: never a portal password, never the client's own bytes; its own token endpoint
/// only the right PIN of somebody who gets tokens, or a try before the PIN's time is over.
fn check_record(pbx: &Pbx, promise: Promise, state: State, phase: &str, secret: &str, case: &str) {
    let record = pbx.0.record();
    for request in &record {
        assert!(!request.contains(PASSWORD), "{case}: the PBX saw the portal password");
        assert!(!request.contains(MARK), "{case}: the client's bytes went on: {request:?}");
    }
    let asked: Vec<_> = record.iter().filter(|one| one.path.contains("token")).collect();
    let tokens = matches!(promise, Promise::Tokens | Promise::TokensAndNotice);
    let judges = matches!(state, State::PinOnly | State::Unknown)
        && matches!(phase, "quiet" | "warn")
        && secret != PASSWORD;
    assert_eq!(asked.len(), usize::from(tokens || judges), "{case}: {asked:?}");
    let tried = record.iter().flat_map(|one| &one.logins);
    for attempt in tried {
        let right = state == State::Password || attempt.secret == secret;
        assert!(right && attempt.secret != PASSWORD, "{case}: {attempt:?}");
    }
    if state == State::Disabled {
        assert!(record.is_empty(), "{case}: {record:?}");
    }
}

async fn try_all(pbx: &Pbx, app: &App, mode: &str, phase: &str) {
    for state in State::ALL {
        for shape in Shape::ALL {
            let person = person(state, shape, phase);
            for secret in [WRONG, &person.pin, PASSWORD] {
                let case = format!("{mode} {phase} {state:?} {shape:?} {secret}");
                // By now, somebody unknown has come with the PIN; nothing else is changed by it.
                let promise = promised(state, phase, secret);
                pbx.0.clear_record();
                let fields = [
                    ("grant_type", "password"),
                    ("username", &*person.login),
                    ("password", secret),
                    ("format", "json"),
                ];
                let said = app.ask_in(shape, &fields).await;
                check(&said, promise, mode, &case);
                check_record(pbx, promise, state, phase, secret, &case);
            }
        }
    }
}

async fn matrix(mode: &str) {
    let (pbx, gateway) = prepared(mode).await;
    let app = gateway.app();
    for phase in PHASES {
        gateway.set_clock(at(phase)).await;
        try_all(&pbx, &app, mode, phase).await;
    }
    let metrics = gateway.metrics().await;
    let shapes = Shape::ALL.len();
    for (grant, times) in [("pin", 2 * 2 * shapes), ("password", 4 * shapes)] {
        let line = format!("passgate_tokens_issued_total{{grant=\"{grant}\"}} {times}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
    // Nobody's secret is in the log or in the store.
    for (place, bytes) in gateway.written() {
        for secret in [PASSWORD, APP.1] {
            let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "{secret} is in {place}");
        }
    }
    let _: Value = gateway.account(&person(State::Unknown, Shape::Form, "reject").login).await;
}

/// R-F1, R-F2, R-F3: with tokens of ours.
#[tokio::test(flavor = "multi_thread")]
async fn every_shape_in_every_phase_with_tokens_of_ours() {
    matrix("jwt").await;
}

/// R-F1, R-F2, R-F3: with the PBX's own.
#[tokio::test(flavor = "multi_thread")]
async fn every_shape_in_every_phase_with_the_tokens_of_the_pbx() {
    matrix("pass").await;
}
