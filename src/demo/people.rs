//! The people whom the demo offers to log in as, and what becomes of them in each phase.

use super::portal::{MFA_CODE, demo_users};

/// How Passgate knows a person when the demo starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleState {
    /// An account with an e-mail address, without a portal password.
    PinOnly,
    /// The same without an e-mail address.
    PinOnlyWithoutEmail,
    /// No password either, and the PBX asks for a second factor after the PIN.
    SecondFactor,
    /// An account with this portal password.
    Password(&'static str),
    /// Locked out a moment ago after too many wrong tries; without a password.
    Locked,
    /// Unknown to Passgate: the account is made by the first login.
    Unknown,
}

/// One person of the demo.
#[derive(Debug, Clone)]
pub struct SamplePerson {
    /// First and last name.
    pub name: String,
    /// The login name as the person would type it.
    pub login: String,
    /// The login name as `extension@tenant`.
    pub canonical_login: String,
    /// The address on file at the PBX.
    pub email: Option<String>,
    /// The voicemail PIN.
    pub pin: String,
    /// Whether the person manages the tenant.
    pub manager: bool,
    /// How Passgate knows the person at the start.
    pub state: SampleState,
    /// What is special, in a few words.
    pub note: &'static str,
}

/// The people, in the order in which they are worth trying.
pub fn sample_people() -> Vec<SamplePerson> {
    use SampleState::{Locked, Password, PinOnly, PinOnlyWithoutEmail, SecondFactor, Unknown};
    const PEOPLE: &[(&str, SampleState, &str)] = &[
        ("1001@abc-company.11111.service", PinOnly, "Has a PIN and nothing else yet"),
        ("1002@abc-company.11111.service", Password("Lighthouse-42"), "Has a portal password"),
        ("1003@abc-company.11111.service", PinOnlyWithoutEmail, "No e-mail address on file"),
        ("1004@abc-company.11111.service", Locked, "Locked: too many wrong tries"),
        ("1005@abc-company.11111.service", PinOnly, "Shares an e-mail address with Frank"),
        ("1006@abc-company.11111.service", PinOnly, "Shares an e-mail address with Erin"),
        ("1007@abc-company.11111.service", SecondFactor, "The PBX asks for a second factor"),
        ("201@abc-company.11111.service", PinOnly, "Extension 201 of the one company"),
        ("201@wickedsprockets", PinOnly, "Extension 201 of the other company"),
        ("202@wickedsprockets", Unknown, "Passgate has never heard of him"),
        ("1000@abc-company.11111.service", Password("Copper-Kettle-7"), "Manages ABC Company"),
    ];
    let users = demo_users();
    let person = |(login, state, note): &(&str, SampleState, &'static str)| {
        let user = users.iter().find(|user| user.login() == *login)?;
        let dashed = user.tenant == super::portal::WICKED_SPROCKETS;
        Some(SamplePerson {
            name: user.display_name.clone(),
            login: if dashed { user.dashed_login() } else { user.login() },
            canonical_login: user.login(),
            email: user.email.clone(),
            pin: user.pin.clone(),
            manager: user.scope == "Office Manager",
            state: *state,
            note,
        })
    };
    PEOPLE.iter().filter_map(person).collect()
}

impl SamplePerson {
    /// The portal password at the start of the demo.
    pub fn password(&self) -> Option<&'static str> {
        match self.state {
            SampleState::Password(password) => Some(password),
            _ => None,
        }
    }

    /// The address that Passgate knows: none of somebody whom it has never heard of.
    pub fn email_on_file(&self) -> Option<&str> {
        self.email.as_deref().filter(|_| self.state != SampleState::Unknown)
    }

    /// What happens in `phase` (`quiet`, `warn`, `force` or `reject`) when the person logs in for the
    /// first time.
    pub fn expectation(&self, phase: &str) -> String {
        let with_pin = match phase {
            "quiet" => "The PIN opens the portal, and nothing is said yet.",
            "warn" => {
                "The PIN opens the portal. A notice on every page asks for a portal password."
            }
            "force" => "The PIN leads to one page only: choose a portal password.",
            _ if self.email_on_file().is_none() => {
                "The PIN is refused. There is no e-mail address on file, so the page says whom to \
                 ask."
            }
            _ => {
                "The PIN is refused. A link to set a portal password is e-mailed: see the mailbox."
            }
        };
        match self.state {
            SampleState::Password(_) => {
                "Only the portal password logs in. The PIN is refused here, and still opens the \
                 mailbox."
                    .to_owned()
            }
            SampleState::Locked => {
                format!("Refused, right or wrong, for 15 minutes. Move the clock, then: {with_pin}")
            }
            SampleState::SecondFactor if phase != "reject" => {
                format!(
                    "After the PIN, the PBX's own question: answer {MFA_CODE}. Then: {with_pin}"
                )
            }
            SampleState::Unknown => {
                format!("{with_pin} The account is made by the first login that the PBX accepts.")
            }
            _ => with_pin.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R-G7: users in every state; each exists at the PBX, with the PIN that the page shows.
    #[test]
    fn everybody_exists_at_the_portal() {
        let people = sample_people();
        assert_eq!(people.len(), 11);
        assert!(people.iter().any(|person| person.email.is_none()));
        assert!(people.iter().any(|person| person.login == "201-wickedsprockets"));
        for person in &people {
            // Whoever can get a link is told where to find it (R-A4).
            let link = person.email_on_file().is_some() && person.password().is_none();
            assert_eq!(person.expectation("reject").contains("see the mailbox"), link);
        }
        for person in &people {
            assert!(person.pin.len() >= 4 && person.pin.bytes().all(|byte| byte.is_ascii_digit()));
        }
    }
}
