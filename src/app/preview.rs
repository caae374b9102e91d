//! What a mail looks like in the words of a configuration: nothing runs, nothing is sent, and the
//! link in it is an example.

use std::net::{IpAddr, Ipv4Addr};

use jiff::Timestamp;
use uuid::Uuid;

use super::{StartError, dressing, post_office};
use crate::config::{Config, EXAMPLE_SENDER};
use crate::domain::account::{Account, AccountId, Role};
use crate::domain::login_name::LoginName;
use crate::domain::mail::{Lock, MailId, MailKind};
use crate::domain::one_time_code::{OneTimeCode, Purpose};
use crate::ports::{Composer as _, Letter, Mail};
use crate::web::letters::Letters;

/// Stands in the link instead of a code; has the form of one, so that the mail is as long as real
/// ones are.
const EXAMPLE_CODE: &str = "this-link-is-an-example-and-opens-nothing-0";

/// Where an example's failed logins come from: an address for documentation (RFC 5737).
const EXAMPLE_CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));

/// Whom an example is about.
#[derive(Debug, Clone)]
pub struct Example {
    /// Their login name: it says whose brand it is, and in which time zone
    /// times are shown.
    pub login: LoginName,
    /// Their name.
    pub name: String,
    /// Where it would go.
    pub to: String,
}

/// The letters of a configuration, with its brands, its texts and its templates.
pub struct Previews<'a> {
    config: &'a Config,
    letters: Letters,
}

impl<'a> Previews<'a> {
    /// Reads the files that the configuration names for them.
    pub fn of(config: &'a Config) -> Result<Self, StartError> {
        let dressing = dressing::open(config)?;
        let letters = Letters::new(post_office::letters(config, &dressing), &dressing.overrides);
        Ok(Self { config, letters })
    }

    /// Writes a mail of this kind as it would leave at `now`.
    pub fn mail(&self, kind: MailKind, example: &Example, now: Timestamp) -> Mail {
        let config = self.config;
        let account = account(example, now);
        let code = kind.purpose().and_then(|_| OneTimeCode::parse(EXAMPLE_CODE));
        let life = kind.purpose().map(|purpose| match purpose {
            Purpose::Reset | Purpose::ConfirmEmail => config.codes.reset,
            Purpose::Welcome => config.codes.welcome,
        });
        let lock = Lock { until: now + config.lockout.duration, client: EXAMPLE_CLIENT };
        let mut mail = self.letters.compose(&Letter {
            id: MailId(Uuid::nil()),
            kind,
            account: &account,
            logins: &[],
            to: &example.to,
            language: None,
            code: code.as_ref(),
            valid_until: life.map(|life| now + life),
            asked_at: now,
            lock: (kind == MailKind::Locked).then_some(lock),
            schedule: *config.rollout.rollout.schedule(example.login.tenant()),
            now,
        });
        if mail.from.is_empty() {
            EXAMPLE_SENDER.clone_into(&mut mail.from);
        }
        mail
    }
}

fn account(example: &Example, now: Timestamp) -> Account {
    Account {
        id: AccountId(Uuid::nil()),
        login: example.login.clone(),
        email: Some(example.to.clone()),
        name: example.name.clone(),
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
        created_at: now,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(more: &str) -> Config {
        let text = format!(
            "{more}\n[server]\npublic_url = \"https://voice.acme.example\"\n[upstream]\n\
             servers = [\"http://127.0.0.1:9\"]\n[portal]\nprofile = \"generic\"\n\
             [support]\ncontact = \"the Acme help desk\"\n[codes]\nwelcome = \"48h\"\n\
             [rollout]\nforce = 1970-02-03\n"
        );
        Config::load(&text, Path::new("passgate.toml"), std::iter::empty()).unwrap().config
    }

    fn example() -> Example {
        Example {
            login: LoginName::parse("1001@acme").unwrap(),
            name: "Jane Doe".into(),
            to: "jane@acme.example".into(),
        }
    }

    /// Every kind can be looked at, with the configuration's words; its link is an example, and one
    /// that the gateway would take for no code of its own.
    #[test]
    fn every_kind_can_be_looked_at() {
        let config = config("");
        let previews = Previews::of(&config).unwrap();
        let preview = |kind| previews.mail(kind, &example(), Timestamp::UNIX_EPOCH);
        for kind in MailKind::ALL {
            let mail = preview(kind);
            for part in [&mail.text, &mail.html] {
                let words = part.split_whitespace().collect::<Vec<_>>().join(" ");
                assert!(words.contains("the Acme help desk"), "{kind:?}: {words}");
                assert!(words.contains("1001@acme"), "{kind:?}: {words}");
                let link = words.contains(EXAMPLE_CODE);
                assert_eq!(link, kind.purpose().is_some(), "{kind:?}: {words}");
            }
            assert_eq!(
                (mail.to.as_str(), mail.from.as_str()),
                ("jane@acme.example", EXAMPLE_SENDER)
            );
        }
        let welcome = preview(MailKind::Welcome);
        assert!(welcome.text.contains("https://voice.acme.example/account/welcome?code="));
        assert!(welcome.text.contains("2 days"), "{}", welcome.text);
        let locked = preview(MailKind::Locked);
        assert!(locked.text.contains("203.0.113.7") && locked.text.contains("00:15"));
        let reminder = preview(MailKind::Reminder);
        assert!(reminder.text.contains("3 Feb"), "{}", reminder.text);
    }

    /// R-D7: in the name and the language of the brand whose tenant the example is of.
    #[test]
    fn it_is_the_brands() {
        let config = config(
            "[[brand]]\nhosts = [\"voz.example\"]\npublic_url = \"https://voz.example\"\n\
             tenants = [\"acme\"]\nname = \"Voz\"\nlocale = \"es\"\n\
             mail_from = \"Voz <no-responder@voz.example>\"\n",
        );
        let previews = Previews::of(&config).unwrap();
        let mail = previews.mail(MailKind::Reset, &example(), Timestamp::UNIX_EPOCH);
        assert_eq!(mail.from, "Voz <no-responder@voz.example>");
        assert!(mail.text.contains("https://voz.example/account/reset?code="), "{}", mail.text);
        assert!(mail.text.contains("contraseña del portal"), "{}", mail.text);
    }
}
