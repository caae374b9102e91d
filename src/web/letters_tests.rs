use uuid::Uuid;

use super::super::brand::testing::brand;
use super::*;
use crate::domain::account::{Account, AccountId, Role, StoredPassword};
use crate::domain::login_name::LoginName;
use crate::domain::mail::{Lock, MailId};
use crate::domain::one_time_code::OneTimeCode;
use crate::domain::rollout::Schedule;

const NOW: &str = "2018-12-03T14:12:00Z";
/// 32 bytes of 7, as in a link.
const CODE: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc";

fn settings() -> LetterSettings {
    let general = Brand {
        support: Some("the help desk, 555-0100".into()),
        ..brand("Acme Voice", "https://portal.example.com")
    };
    LetterSettings {
        brands: Brands::new(general, Vec::new()),
        prefix: "/account".into(),
        time_zone: TimeZone::get("America/New_York").unwrap(),
        tenant_time_zones: HashMap::from([(
            "wickedsprockets".to_owned(),
            TimeZone::get("America/Sao_Paulo").unwrap(),
        )]),
    }
}

fn letters() -> Letters {
    Letters::new(settings(), &Overrides::default())
}

fn account(login: &str, name: &str) -> Account {
    Account {
        id: AccountId(Uuid::from_u128(1)),
        login: LoginName::parse(login).unwrap(),
        email: Some("jane@corp.example".into()),
        name: name.into(),
        role: Role::User,
        disabled: false,
        password: None,
        previous_password: None,
        initial_password: None,
        pin: None,
        pin_refused: false,
        bounced: None,
        epoch: 0,
        last_login_at: None,
        created_at: NOW.parse().unwrap(),
    }
}

/// The dates of everybody: midnight in New York.
fn schedule() -> Schedule {
    let at = |text: &str| Some(text.parse().unwrap());
    Schedule {
        warn: at("2018-11-19T05:00:00Z"),
        force: at("2018-12-10T05:00:00Z"),
        reject: at("2019-01-07T05:00:00Z"),
    }
}

fn compose_for(account: &Account, kind: MailKind, hours: i64) -> Mail {
    let code = OneTimeCode([7; 32]);
    let now: Timestamp = NOW.parse().unwrap();
    letters().compose(&Letter {
        id: MailId(Uuid::from_u128(2)),
        kind,
        account,
        logins: &[],
        to: "jane@corp.example",
        language: None,
        code: kind.purpose().map(|_| &code),
        valid_until: kind.purpose().map(|_| now + jiff::SignedDuration::from_hours(hours)),
        asked_at: now - jiff::SignedDuration::from_mins(2),
        lock: (kind == MailKind::Locked).then(|| Lock {
            until: now + jiff::SignedDuration::from_mins(13),
            client: "::ffff:203.0.113.7".parse().unwrap(),
        }),
        schedule: schedule(),
        now,
    })
}

fn compose(kind: MailKind, hours: i64) -> Mail {
    compose_for(&account("1001@abc-company.11111.service", "Jane Doe"), kind, hours)
}

/// What every letter says, in both parts, and how.
fn check(mail: &Mail, says: &[&str]) {
    assert_eq!(mail.from, "Acme Voice <no-reply@acme.example>");
    assert_eq!(mail.to, "jane@corp.example");
    assert_eq!(mail.date.to_string(), NOW);
    let common = [
        "Hello Jane Doe,",
        "1001@abc-company.11111.service",
        "please contact the help desk, 555-0100",
        "ever ask you for your portal password or your voicemail PIN",
    ];
    let text = mail.text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let html = mail.html.replace("&#x27;", "'").to_lowercase();
    for words in common.iter().chain(says) {
        assert!(text.contains(&words.to_lowercase()), "{words:?} is not in\n{}", mail.text);
        assert!(html.contains(&words.to_lowercase()), "{words:?} is not in\n{}", mail.html);
    }
    for line in mail.text.lines() {
        assert!(line.chars().count() <= WIDTH || line.starts_with("https://"), "{line:?}");
        assert_eq!(line.trim(), line, "{line:?}");
    }
    assert!(!mail.text.contains("\n\n\n"), "{}", mail.text);
    // Keys that have no text show themselves.
    assert!(!mail.text.contains("mail.") && !mail.html.contains("mail."), "{}", mail.text);
    // Nothing is fetched from anywhere, and nobody learns that the mail was read.
    for remote in ["<img", "src=", "url(", "<link", "@import", "<script"] {
        assert!(!mail.html.contains(remote), "{remote}");
    }
    assert!(!mail.subject.contains(CODE));
    assert!(!format!("{mail:?}").contains(CODE));
}

/// The link stands alone on its line, and twice in the HTML: as a button and to be copied.
fn check_link(mail: &Mail, page: &str) {
    let link = format!("https://portal.example.com/account/{page}?code={CODE}");
    assert!(mail.text.lines().any(|line| line == link), "{}", mail.text);
    assert_eq!(mail.html.matches(&format!("href=\"{link}\"")).count(), 2, "{}", mail.html);
    assert_eq!(mail.html.matches("href=").count(), 2, "{}", mail.html);
    assert!(mail.html.contains(&format!(">{link}</a>")));
}

fn check_no_link(mail: &Mail) {
    assert!(!mail.text.contains("://") && !mail.html.contains("href="), "{}", mail.html);
}

/// R-D1: a link to set a new portal password, valid for 1 hour.
#[test]
fn reset() {
    let mail = compose(MailKind::Reset, 1);
    assert_eq!(mail.subject, "Set your portal password");
    check(
        &mail,
        &[
            "was asked for at 09:10 on 3 December 2018 (EST)",
            "for 1 hour: until 10:12 on 3 December 2018 (EST)",
            "You did not ask for it?",
        ],
    );
    check_link(&mail, "reset");
}

/// R-A4: the PIN was right but came after its time.
#[test]
fn rejected() {
    let mail = compose(MailKind::Rejected, 1);
    assert_eq!(mail.subject, "Your voicemail PIN no longer opens the portal");
    check(
        &mail,
        &[
            "Your voicemail PIN no longer opens the portal. It was used to sign in at 09:10",
            "until 10:12 on 3 December 2018 (EST)",
            "somebody else knows your voicemail PIN",
        ],
    );
    check_link(&mail, "reset");
}

/// R-D4: "Complete setup", a new portal password and a new voicemail PIN, 72 hours.
#[test]
fn welcome() {
    let mail = compose(MailKind::Welcome, 72);
    assert_eq!(mail.subject, "Complete your setup");
    check(
        &mail,
        &[
            "choose a portal password and a voicemail PIN",
            "Complete setup",
            "for 3 days: until 09:12 on 6 December 2018 (EST)",
            "You did not expect this?",
        ],
    );
    check_link(&mail, "welcome");
}

/// R-A3, R-D5: the address is used only after its owner said so.
#[test]
fn confirm_email() {
    let mail = compose(MailKind::ConfirmEmail, 1);
    assert_eq!(mail.subject, "Confirm your e-mail address");
    check(
        &mail,
        &["This e-mail address was entered at 09:10", "for 1 hour", "You did not enter it?"],
    );
    check_link(&mail, "confirm-email");
}

/// R-D2: the login names of an address, all in one mail; its link leads to the login page and can do
/// nothing by itself.
#[test]
fn login_names() {
    let alone = compose(MailKind::LoginNames, 0);
    assert_eq!(alone.subject, "Your login name");
    let said = [
        "The login name for this e-mail address was asked for at 09:10 on 3 December 2018 (EST)",
        "You did not ask for it?",
    ];
    check(&alone, &said);
    let account = account("1001@abc-company.11111.service", "Jane Doe");
    let names = ["1001@abc-company.11111.service", "1002@abc-company.11111.service"];
    let logins = names.map(|name| LoginName::parse(name).unwrap());
    let now: Timestamp = NOW.parse().unwrap();
    let several = letters().compose(&Letter {
        id: MailId(Uuid::from_u128(2)),
        kind: MailKind::LoginNames,
        account: &account,
        logins: &logins,
        to: "jane@corp.example",
        language: None,
        code: None,
        valid_until: None,
        asked_at: now - jiff::SignedDuration::from_mins(2),
        lock: None,
        schedule: schedule(),
        now,
    });
    check(&several, &["Your login names", names[0], names[1]]);
    for mail in [&alone, &several] {
        let link = "https://portal.example.com/account/login";
        assert!(mail.text.lines().any(|line| line == link), "{}", mail.text);
        assert!(mail.html.contains(&format!("href=\"{link}\"")), "{}", mail.html);
        assert!(!mail.text.contains("code=") && !mail.html.contains("code="));
    }
    for name in names {
        assert_eq!(several.text.lines().filter(|line| line.contains(name)).count(), 1);
        assert_eq!(several.html.matches(name).count(), 1);
    }
}

/// R-D5: the first portal password is reported to the address on file.
#[test]
fn password_set() {
    let mail = compose(MailKind::PasswordSet, 0);
    assert_eq!(mail.subject, "Your portal password was set");
    check(
        &mail,
        &[
            "was set for the first time at 09:10 on 3 December 2018 (EST)",
            "This was not you? Please contact the help desk, 555-0100 at once",
        ],
    );
    check_no_link(&mail);
}

/// R-C8: a changed portal password is reported, too.
#[test]
fn password_changed() {
    let mail = compose(MailKind::PasswordChanged, 0);
    assert_eq!(mail.subject, "Your portal password was changed");
    check(
        &mail,
        &["was changed at 09:10 on 3 December 2018 (EST)", "This was not you? Please contact"],
    );
    check_no_link(&mail);
}

/// R-D5: the address before is told that another is on file, and not which: it may be somebody
/// else's mailbox by now.
#[test]
fn email_changed() {
    let mail = compose(MailKind::EmailChanged, 0);
    assert_eq!(mail.subject, "Your e-mail address was changed");
    check(
        &mail,
        &[
            "Another e-mail address was put on file at 09:10 on 3 December 2018 (EST)",
            "This was not you? Please contact the help desk, 555-0100 at once",
        ],
    );
    check_no_link(&mail);
}

/// R-C5: the owner of a locked login name is told when, from where, until when and what to do; and
/// what protects them, which is not the same for everybody. The link can do nothing by itself.
#[test]
fn locked() {
    let mut account = account("1001@abc-company.11111.service", "Jane Doe");
    let pin_only = compose_for(&account, MailKind::Locked, 0);
    let password = StoredPassword { phc: String::new(), set_at: NOW.parse().unwrap() };
    account.password = Some(password);
    let with_password = compose_for(&account, MailKind::Locked, 0);
    for (mail, protected) in [
        (&pin_only, "a portal password protects you better"),
        (&with_password, "your portal password still protects you"),
    ] {
        assert_eq!(mail.subject, "Too many attempts to sign in");
        check(
            mail,
            &[
                "the last time at 09:10 on 3 December 2018 (EST) from the network address \
                 203.0.113.7.",
                "has to wait until 09:25 on 3 December 2018 (EST)",
                "If you do not know your portal password, you need not wait",
                "This was not you?",
                "None of these attempts was let in",
                protected,
            ],
        );
        let link = "https://portal.example.com/account/forgot-password";
        assert!(mail.text.lines().any(|line| line == link), "{}", mail.text);
        assert_eq!(mail.html.matches(&format!("href=\"{link}\"")).count(), 1, "{}", mail.html);
        assert_eq!(mail.html.matches("href=").count(), 1, "{}", mail.html);
    }
    assert!(!pin_only.text.contains("your portal password still"), "{}", pin_only.text);
}

/// R-A8: reminders say what changes and when, and how a portal password is set.
#[test]
fn reminder() {
    let mail = compose(MailKind::Reminder, 0);
    assert_eq!(mail.subject, "Please set a portal password");
    let from_force = "From 10 December 2018 on, signing in with your voicemail PIN leads to a page";
    let from_reject = "From 7 January 2019 on, your voicemail PIN no longer opens the portal";
    let says = [
        "Voicemail keeps your PIN",
        "sign in with your login name and your voicemail PIN",
        "You have set a portal password already?",
    ];
    check(&mail, &[&says[..], &[from_force, from_reject]].concat());
    let link = "https://portal.example.com/account/login?next=/account/security";
    assert!(mail.text.lines().any(|line| line == link), "{}", mail.text);
    assert_eq!(mail.html.matches(&format!("href=\"{link}\"")).count(), 1, "{}", mail.html);
    assert!(!mail.text.contains("code=") && !mail.html.contains("code="));

    // What has come already is not announced any more.
    let account = account("1001@abc-company.11111.service", "Jane Doe");
    let told = |schedule: Schedule| {
        let letter = Letter {
            id: MailId(Uuid::from_u128(2)),
            kind: MailKind::Reminder,
            account: &account,
            logins: &[],
            to: "jane@corp.example",
            language: None,
            code: None,
            valid_until: None,
            asked_at: NOW.parse().unwrap(),
            lock: None,
            schedule,
            now: NOW.parse().unwrap(),
        };
        letters().compose(&letter)
    };
    let later =
        told(Schedule { force: Some("2018-12-01T05:00:00Z".parse().unwrap()), ..schedule() });
    check(&later, &[from_reject]);
    assert!(!later.text.contains("leads to a page") && !later.html.contains("leads to a page"));
    let no_reject = told(Schedule { reject: None, ..schedule() });
    check(&no_reject, &[from_force]);
    assert!(!no_reject.text.contains("no longer opens"), "{}", no_reject.text);
    // A date with a time of day is told with it.
    let at_half_past =
        told(Schedule { reject: Some("2019-01-07T13:30:00Z".parse().unwrap()), ..schedule() });
    check(&at_half_past, &["From 08:30 on 7 January 2019 (EST) on, your voicemail PIN"]);
}

/// R-F2: who uses an app with the PIN is told until when that works, and how to go on.
#[test]
fn app_notice() {
    let mail = compose(MailKind::AppNotice, 1);
    assert_eq!(mail.subject, "An app uses your voicemail PIN");
    let always = ["used your login name and your voicemail PIN", "Then enter it in the app"];
    check(&mail, &[&always[..], &["From 10 December 2018 on, apps and softphones"]].concat());
    check_link(&mail, "reset");

    let account = account("1001@abc-company.11111.service", "Jane Doe");
    let code = OneTimeCode([1; 32]);
    let now: Timestamp = NOW.parse().unwrap();
    let told = |schedule: Schedule| {
        letters().compose(&Letter {
            id: MailId(Uuid::from_u128(2)),
            kind: MailKind::AppNotice,
            account: &account,
            logins: &[],
            to: "jane@corp.example",
            language: None,
            code: Some(&code),
            valid_until: Some(now),
            asked_at: now,
            lock: None,
            schedule,
            now,
        })
    };
    let forced = told(Schedule { force: Some(now), ..schedule() });
    check(&forced, &[&always[..], &["can no longer sign in with the voicemail PIN"]].concat());
    assert!(!forced.text.contains("From "), "{}", forced.text);
    // No date is set yet: no end is announced.
    let endless = told(Schedule { force: None, reject: None, ..schedule() });
    check(&endless, &always);
    assert!(!endless.text.contains("no longer"), "{}", endless.text);
}

/// A name is text, whatever stands in it; one that is no name is left out.
#[test]
fn hostile_names() {
    for kind in MailKind::ALL {
        let hostile = "<b onclick=x>&amp;\r\n\r\nhttps://evil.example\"'{{ link }}{link}";
        let mail = compose_for(&account("1001@acme", hostile), kind, 1);
        assert!(!mail.html.contains("<b "), "{}", mail.html);
        assert!(mail.html.contains("&lt;b onclick=x&gt;&amp;amp; https:"), "{}", mail.html);
        let greeting = mail.text.lines().find(|line| line.starts_with("Hello")).unwrap();
        assert!(greeting.starts_with("Hello <b onclick=x>&amp; "), "{greeting}");
        assert!(mail.text.contains("{{ link }}{link},"), "{}", mail.text);
        let long = compose_for(&account("1001@acme", &"x".repeat(90)), kind, 1);
        assert!(long.text.contains("\nHello,\n"), "{}", long.text);
        assert!(compose_for(&account("1001@acme", " "), kind, 1).text.contains("\nHello,\n"));
    }
}

/// Times are those of the tenant, in its own zone if it has one.
#[test]
fn the_zone_of_the_tenant() {
    let mail = compose_for(&account("201@wickedsprockets", "Jane Doe"), MailKind::Reset, 1);
    let text = mail.text.replace('\n', " ");
    assert!(text.contains("13:12 on 3 December 2018 (America/Sao_Paulo)"), "{text}");
}
