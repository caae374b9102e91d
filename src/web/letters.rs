//! The e-mails that users get: text and HTML from the templates in `templates/mail`, words from
//! `locales`. Links begin with the configured address, never with what a request said.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use minijinja::value::Value;
use minijinja::{Environment, context};

use super::accent::Accent;
use super::brand::{Brand, Brands};
use super::look::{escape, support, templates};
use super::overrides::Overrides;
use super::texts::Texts;
use crate::domain::language::Language;
use crate::domain::mail::MailKind;
use crate::domain::one_time_code::Purpose;
use crate::domain::rollout::Schedule;
use crate::ports::{Composer, Letter, Mail};

const TEMPLATES: [(&str, &str); 17] = [
    ("app_notice.html", include_str!("../../templates/mail/app_notice.html")),
    ("app_notice.txt", include_str!("../../templates/mail/app_notice.txt")),
    ("base.html", include_str!("../../templates/mail/base.html")),
    ("button.html", include_str!("../../templates/mail/button.html")),
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

/// The names of the templates of e-mails.
pub(super) fn template_names() -> Vec<&'static str> {
    TEMPLATES.iter().map(|(name, _)| *name).collect()
}

/// What the configuration says about e-mails.
#[derive(Debug, Clone)]
pub struct LetterSettings {
    /// Whose mails they are: name, links, sender, language.
    pub brands: Brands,
    /// Where our pages live (`pages.prefix`).
    pub prefix: String,
    /// In which times are shown (`rollout.time_zone`) …
    pub time_zone: TimeZone,
    /// … and that of tenants with their own.
    pub tenant_time_zones: HashMap<String, TimeZone>,
}

/// Writes the e-mails.
pub struct Letters {
    languages: Vec<Language>,
    /// One for each language.
    pens: Vec<Pen>,
    settings: LetterSettings,
}

/// Words and templates of one language.
struct Pen {
    texts: Arc<Texts>,
    /// With the operator's own templates, and then as they ship.
    environments: Vec<Environment<'static>>,
}

impl Letters {
    /// Prepares texts and templates once.
    pub fn new(settings: LetterSettings, overrides: &Overrides) -> Self {
        let languages = overrides.languages();
        let pens = languages.iter().map(|language| Pen::new(language, overrides)).collect();
        Self { languages, pens, settings }
    }

    /// In the language in which the mail was asked for; else in the brand's.
    fn pen(&self, letter: &Letter<'_>, brand: &Brand) -> &Pen {
        let asked = letter.language.and_then(|language| language.among(&self.languages));
        let language = asked.or_else(|| brand.language.among(&self.languages));
        let place = language.and_then(|wanted| self.languages.iter().position(|l| l == wanted));
        &self.pens[place.unwrap_or_default()]
    }
}

impl Composer for Letters {
    fn compose(&self, letter: &Letter<'_>) -> Mail {
        let brand = self.settings.brands.of_tenant(letter.account.login.tenant());
        let pen = self.pen(letter, brand);
        Writing { letter, brand, pen, settings: &self.settings }.mail()
    }
}

impl Pen {
    fn new(language: &Language, overrides: &Overrides) -> Self {
        let texts = Arc::new(Texts::new(language, overrides));
        let mut environments = vec![environment(&[], language, &texts)];
        if !overrides.mail().is_empty() {
            environments.insert(0, environment(overrides.mail(), language, &texts));
        }
        Self { texts, environments }
    }

    /// Fills in a template. One that cannot be rendered is a defect, which a test would show, or
    /// the operator's own; the link arrives all the same.
    fn render(&self, template: &str, values: &Value, link: &str) -> String {
        for environment in &self.environments {
            match environment.get_template(template).and_then(|t| t.render(values)) {
                Ok(text) => return text,
                Err(error) => {
                    tracing::error!(template, error = format!("{error:#}"), "e-mail not rendered");
                }
            }
        }
        link.to_owned()
    }
}

/// One mail that is being written.
struct Writing<'a> {
    letter: &'a Letter<'a>,
    brand: &'a Brand,
    pen: &'a Pen,
    settings: &'a LetterSettings,
}

impl Writing<'_> {
    fn mail(&self) -> Mail {
        let Self { letter, brand, pen, .. } = self;
        let link = self.link().unwrap_or_default();
        let values = self.values();
        let template = match letter.kind {
            MailKind::PasswordSet | MailKind::PasswordChanged => "report",
            MailKind::EmailChanged => "note",
            MailKind::LoginNames => "names",
            MailKind::Locked => "locked",
            MailKind::Reminder => "reminder",
            MailKind::AppNotice => "app_notice",
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
            from: brand.mail_from.clone(),
            to: letter.to.to_owned(),
            subject: pen.texts.get(&format!("mail.{}.subject", letter.kind.name())).to_owned(),
            text: pen.render(&format!("{template}.txt"), &plain, &link) + "\n",
            html: pen.render(&format!("{template}.html"), &html, &link),
            date: letter.now,
        }
    }

    fn link(&self) -> Option<String> {
        let prefix = &self.settings.prefix;
        let own = format!("{}{prefix}", self.brand.public_url);
        let page = match self.letter.kind.purpose() {
            Some(Purpose::Reset) => "reset",
            Some(Purpose::Welcome) => "welcome",
            Some(Purpose::ConfirmEmail) => "confirm-email",
            None => {
                return Some(match self.letter.kind {
                    MailKind::Locked => format!("{own}/forgot-password"),
                    MailKind::Reminder => format!("{own}/login?next={prefix}/security"),
                    _ => format!("{own}/login"),
                });
            }
        };
        Some(format!("{own}/{page}?code={}", self.letter.code?.text()))
    }

    fn zone(&self) -> &TimeZone {
        let tenant = self.letter.account.login.tenant();
        self.settings.tenant_time_zones.get(tenant).unwrap_or(&self.settings.time_zone)
    }

    /// What changes when for who still signs in with the PIN, or whose app does.
    fn changes(&self) -> Vec<String> {
        let Schedule { force, reject, .. } = self.letter.schedule;
        let told = |key: &str, at: Option<Timestamp>| {
            let at = at.filter(|at| *at > self.letter.now)?;
            Some(self.pen.texts.fill(key, &[("date", &self.day(at))]))
        };
        if self.letter.kind == MailKind::AppNotice {
            // Apps have no page on which to set a password: for them it is over at force.
            let end = force.or(reject);
            let over = end.map(|_| self.pen.texts.get("mail.app_notice.over").to_owned());
            return told("mail.app_notice.until", end).or(over).into_iter().collect();
        }
        [told("mail.reminder.force", force), told("mail.reminder.reject", reject)]
            .into_iter()
            .flatten()
            .collect()
    }

    /// A day that begins at midnight is told without the time.
    fn day(&self, at: Timestamp) -> String {
        let local = at.to_zoned(self.zone().clone());
        match local.time() == jiff::civil::Time::midnight() {
            true => self.pen.texts.moment("mail.day", &local),
            false => self.moment(at),
        }
    }

    /// A moment with the name of the zone in which it is meant.
    fn moment(&self, at: Timestamp) -> String {
        let (zone, texts) = (self.zone(), &self.pen.texts);
        let local = at.to_zoned(zone.clone());
        let time = texts.moment("mail.time", &local);
        let short = local.strftime("%Z").to_string();
        // Some zones have no short name but "-03".
        let name = match short.chars().all(char::is_alphabetic) {
            true => short.as_str(),
            false => zone.iana_name().unwrap_or(&short),
        };
        texts.fill("mail.moment", &[("time", &time), ("zone", name)])
    }

    fn values(&self) -> Value {
        let Self { letter, brand, .. } = self;
        let (texts, kind) = (&self.pen.texts, letter.kind.name());
        let (until, client) = match letter.lock {
            Some(lock) => (self.moment(lock.until), lock.client.to_canonical().to_string()),
            None => Default::default(),
        };
        let own = |key: &str| {
            let values = [
                ("asked", self.moment(letter.asked_at)),
                ("support", support(brand, texts).to_owned()),
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
            let values = [("duration", texts.span(life)), ("until", self.moment(until))];
            texts.fill("mail.valid", &values.each_ref().map(|(n, v)| (*n, v.as_str())))
        });
        let logins: Vec<String> = match letter.logins {
            [] => vec![letter.account.login.to_string()],
            several => several.iter().map(ToString::to_string).collect(),
        };
        context! {
            product => brand.name.as_str(),
            support => support(brand, texts),
            accent => colours(brand),
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
            changes => self.changes(),
        }
    }
}

/// The colours of what is tinted: buttons and links, on light and on dark ground.
fn colours(brand: &Brand) -> Value {
    match &brand.accent {
        Some(Accent { light, dark }) => context! {
            light => light.accent.as_str(),
            on_light => light.on.as_str(),
            dark => dark.accent.as_str(),
            on_dark => dark.on.as_str(),
        },
        None => context! {
            light => "#1b5fd1",
            on_light => "#ffffff",
            dark => "#8ab4ff",
            on_dark => "#0b1b38",
        },
    }
}

fn environment(
    own: &[(String, String)],
    language: &Language,
    texts: &Arc<Texts>,
) -> Environment<'static> {
    let mut environment = templates(&TEMPLATES, own, texts);
    environment.add_filter("wrap", |text: &str| wrap(text));
    environment.add_global("language", language.tag());
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
