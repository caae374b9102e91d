//! The e-mails that users get: text and HTML from the templates in `templates/mail`, words from
//! `locales`. Links begin with the configured address, never with what a request said.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use minijinja::value::Value;
use minijinja::{Environment, context};

use super::look::{escape, templates};
use super::texts::Texts;
use crate::domain::mail::MailKind;
use crate::domain::one_time_code::Purpose;
use crate::domain::rollout::Schedule;
use crate::ports::{Composer, Letter, Mail};

const TEMPLATES: [(&str, &str); 14] = [
    ("base.html", include_str!("../../templates/mail/base.html")),
    ("link.html", include_str!("../../templates/mail/link.html")),
    ("locked.html", include_str!("../../templates/mail/locked.html")),
    ("locked.txt", include_str!("../../templates/mail/locked.txt")),
    ("names.html", include_str!("../../templates/mail/names.html")),
    ("names.txt", include_str!("../../templates/mail/names.txt")),
    ("note.html", include_str!("../../templates/mail/note.html")),
    ("note.txt", include_str!("../../templates/mail/note.txt")),
    ("reminder.html", include_str!("../../templates/mail/reminder.html")),
    ("reminder.txt", include_str!("../../templates/mail/reminder.txt")),
    ("report.html", include_str!("../../templates/mail/report.html")),
    ("base.txt", include_str!("../../templates/mail/base.txt")),
    ("link.txt", include_str!("../../templates/mail/link.txt")),
    ("report.txt", include_str!("../../templates/mail/report.txt")),
];

/// Columns of a text part.
const WIDTH: usize = 72;
/// A name longer than this is none.
const LONGEST_NAME: usize = 80;

/// What the configuration says about e-mails.
#[derive(Debug, Clone)]
pub struct LetterSettings {
    /// The address that users know (`server.public_url`), without a slash at the end.
    pub public_url: String,
    /// Where our pages live (`pages.prefix`).
    pub prefix: String,
    /// The product's name (brand).
    pub product: String,
    /// Whom users should ask, as part of a sentence.
    pub support_contact: String,
    /// Language.
    pub locale: String,
    /// The sender: `Name <address>`.
    pub from: String,
    /// In which times are shown (`rollout.time_zone`) …
    pub time_zone: TimeZone,
    /// … and that of tenants with their own.
    pub tenant_time_zones: HashMap<String, TimeZone>,
}

/// Writes the e-mails.
pub struct Letters {
    environment: Environment<'static>,
    texts: Arc<Texts>,
    settings: LetterSettings,
}

impl Letters {
    /// Prepares texts and templates once.
    pub fn new(settings: LetterSettings) -> Self {
        let texts = Arc::new(Texts::new(&settings.locale));
        let environment = environment(&settings, &texts);
        Self { environment, texts, settings }
    }

    fn link(&self, letter: &Letter<'_>) -> Option<String> {
        let LetterSettings { public_url, prefix, .. } = &self.settings;
        let page = match letter.kind.purpose() {
            Some(Purpose::Reset) => "reset",
            Some(Purpose::Welcome) => "welcome",
            Some(Purpose::ConfirmEmail) => "confirm-email",
            None if letter.kind == MailKind::Locked => {
                return Some(format!("{public_url}{prefix}/forgot-password"));
            }
            None if letter.kind == MailKind::Reminder => {
                return Some(format!("{public_url}{prefix}/login?next={prefix}/security"));
            }
            None => return Some(format!("{public_url}{prefix}/login")),
        };
        Some(format!("{public_url}{prefix}/{page}?code={}", letter.code?.text()))
    }

    fn zone(&self, tenant: &str) -> &TimeZone {
        self.settings.tenant_time_zones.get(tenant).unwrap_or(&self.settings.time_zone)
    }

    /// What changes when for who still signs in with the PIN: a day that begins at midnight is told
    /// without the time.
    fn changes(&self, letter: &Letter<'_>) -> Vec<String> {
        let tenant = letter.account.login.tenant();
        let date = |at: Timestamp| {
            let local = at.to_zoned(self.zone(tenant).clone());
            match local.time() == jiff::civil::Time::midnight() {
                true => self.texts.moment("mail.day", &local),
                false => self.moment(at, tenant),
            }
        };
        let told = |key: &str, at: Option<Timestamp>| {
            let at = at.filter(|at| *at > letter.now)?;
            Some(self.texts.fill(&format!("mail.reminder.{key}"), &[("date", &date(at))]))
        };
        let Schedule { force, reject, .. } = letter.schedule;
        [told("force", force), told("reject", reject)].into_iter().flatten().collect()
    }

    /// A moment with the name of the zone in which it is meant.
    fn moment(&self, at: Timestamp, tenant: &str) -> String {
        let zone = self.zone(tenant);
        let local = at.to_zoned(zone.clone());
        let time = self.texts.moment("mail.time", &local);
        let short = local.strftime("%Z").to_string();
        // Some zones have no short name but "-03".
        let name = match short.chars().all(char::is_alphabetic) {
            true => short.as_str(),
            false => zone.iana_name().unwrap_or(&short),
        };
        self.texts.fill("mail.moment", &[("time", &time), ("zone", name)])
    }

    fn values(&self, letter: &Letter<'_>) -> Value {
        let (texts, kind) = (&self.texts, letter.kind.name());
        let tenant = letter.account.login.tenant();
        let (until, client) = match letter.lock {
            Some(lock) => (self.moment(lock.until, tenant), lock.client.to_canonical().to_string()),
            None => Default::default(),
        };
        let own = |key: &str| {
            let values = [
                ("asked", self.moment(letter.asked_at, tenant)),
                ("support", self.settings.support_contact.clone()),
                ("until", until.clone()),
                ("client", client.clone()),
            ];
            texts.fill(
                &format!("mail.{kind}.{key}"),
                &values.each_ref().map(|(n, v)| (*n, v.as_str())),
            )
        };
        // What protects the account differs.
        let not_you = match (letter.kind, &letter.account.password) {
            (MailKind::Locked, None) => "not_you_pin",
            _ => "not_you",
        };
        let name = one_line(&letter.account.name);
        let greeting = match name.is_empty() || name.chars().count() > LONGEST_NAME {
            true => texts.get("mail.greeting_without_name").to_owned(),
            false => texts.fill("mail.greeting", &[("name", &name)]),
        };
        let valid = letter.valid_until.map(|until| {
            let life = Duration::try_from(until.duration_since(letter.now)).unwrap_or_default();
            let values = [("duration", texts.span(life)), ("until", self.moment(until, tenant))];
            texts.fill("mail.valid", &values.each_ref().map(|(n, v)| (*n, v.as_str())))
        });
        let logins: Vec<String> = match letter.logins {
            [] => vec![letter.account.login.to_string()],
            several => several.iter().map(ToString::to_string).collect(),
        };
        context! {
            subject => own("subject"),
            heading => own("heading"),
            lead => own("lead"),
            button => own("button"),
            todo => own("todo"),
            not_you => own(not_you),
            login_label => texts.count("mail.login_name", logins.len() as u64),
            logins,
            greeting,
            valid,
            changes => self.changes(letter),
        }
    }

    /// Fills in a template. One that cannot be rendered is a defect, which a test would show; the
    /// link arrives all the same.
    fn render(&self, template: &str, values: &Value, link: &str) -> String {
        let rendered = self.environment.get_template(template).and_then(|t| t.render(values));
        rendered.unwrap_or_else(|error| {
            tracing::error!(template, error = format!("{error:#}"), "e-mail not rendered");
            link.to_owned()
        })
    }
}

impl Composer for Letters {
    fn compose(&self, letter: &Letter<'_>) -> Mail {
        let link = self.link(letter).unwrap_or_default();
        let values = self.values(letter);
        let template = match letter.kind {
            MailKind::PasswordSet | MailKind::PasswordChanged => "report",
            MailKind::EmailChanged => "note",
            MailKind::LoginNames => "names",
            MailKind::Locked => "locked",
            MailKind::Reminder => "reminder",
            MailKind::Reset | MailKind::Rejected | MailKind::Welcome | MailKind::ConfirmEmail => {
                "link"
            }
        };
        // Escaped here and only once: some mail programs look for links before they decode.
        let safe = Value::from_safe_string(escape(&link));
        let html = context! { link => safe, ..values.clone() };
        let plain = context! { link => &link, ..values };
        Mail {
            id: letter.id,
            kind: letter.kind,
            from: self.settings.from.clone(),
            to: letter.to.to_owned(),
            subject: self.texts.get(&format!("mail.{}.subject", letter.kind.name())).to_owned(),
            text: self.render(&format!("{template}.txt"), &plain, &link) + "\n",
            html: self.render(&format!("{template}.html"), &html, &link),
            date: letter.now,
        }
    }
}

fn environment(settings: &LetterSettings, texts: &Arc<Texts>) -> Environment<'static> {
    let mut environment = templates(&TEMPLATES, texts);
    environment.add_filter("wrap", |text: &str| wrap(text));
    environment.add_global("product", settings.product.clone());
    environment.add_global("support", settings.support_contact.clone());
    environment.add_global("language", texts.get("language.code").to_owned());
    environment
}

/// Breaks a paragraph into lines; a word that is longer than a line has one of its own.
fn wrap(text: &str) -> String {
    let mut wrapped = String::with_capacity(text.len() + 16);
    let mut column = 0;
    for word in text.split_whitespace() {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > WIDTH {
            wrapped.push('\n');
            column = 0;
        } else if column > 0 {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += width;
    }
    wrapped
}

fn one_line(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[path = "letters_tests.rs"]
mod tests;
