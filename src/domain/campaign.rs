//! Campaigns: the same mail for many accounts, asked for by an administrator (R-E1) or by a date of
//! the rollout (R-A8).

use std::fmt::Write as _;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::account::{Account, AccountId};
use super::mail::MailKind;
use super::reminders::{Ahead, ReminderPoint};
use super::rollout::Schedule;

/// Identity of a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CampaignId(pub Uuid);

impl std::fmt::Display for CampaignId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.simple().fmt(f)
    }
}

/// What its mails are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CampaignKind {
    /// A link that sets up a new user (R-D4).
    Welcome,
    /// What changes, and when (R-A8).
    Reminder,
}

impl CampaignKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Welcome, Self::Reminder];

    /// In a stable spelling: in the store and in the admin API.
    pub fn name(self) -> &'static str {
        self.mail().name()
    }

    /// The kind with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The kind of its mails.
    pub fn mail(self) -> MailKind {
        match self {
            Self::Welcome => MailKind::Welcome,
            Self::Reminder => MailKind::Reminder,
        }
    }

    /// What an account gets, with the dates of its tenant.
    pub fn fate(self, account: &Account, schedule: &Schedule, now: Timestamp) -> Fate {
        let tells_something = match self {
            Self::Welcome => true,
            Self::Reminder => schedule.days_left(now).is_some(),
        };
        if account.disabled || account.password.is_some() || !tells_something {
            Fate::NotNeeded
        } else if account.reachable_at().is_none() {
            Fate::WithoutEmail
        } else {
            Fate::Mail
        }
    }
}

/// What an account gets from a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// A mail.
    Mail,
    /// None: it has a portal password, is switched off, or there is nothing to tell it.
    NotNeeded,
    /// None: there is no address on file, or it takes no mail.
    WithoutEmail,
}

/// For whom a campaign is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Audience {
    /// Every account without a portal password.
    Everybody,
    /// Those of one tenant (canonical spelling).
    Tenant(String),
    /// Those that were picked, by the digest of their ids: the same choice has the same one.
    Selected([u8; 32]),
    /// Those that this import made.
    Imported(CampaignId),
    /// Those whose tenant gets this reminder.
    Before(ReminderPoint),
}

impl Audience {
    /// These accounts, whatever their order.
    pub fn selected(accounts: &[AccountId]) -> Self {
        let mut ids: Vec<_> = accounts.iter().map(|id| *id.0.as_bytes()).collect();
        ids.sort_unstable();
        ids.dedup();
        Self::Selected(Sha256::digest(ids.concat()).into())
    }

    /// Whether there is never a second campaign for it.
    pub fn once(&self) -> bool {
        matches!(self, Self::Before(_))
    }

    /// In a stable spelling: the same words for the same people.
    pub fn text(&self) -> String {
        match self {
            Self::Everybody => "everybody".to_owned(),
            Self::Tenant(tenant) => format!("tenant {tenant}"),
            Self::Selected(digest) => {
                digest.iter().fold("selected ".to_owned(), |mut text, byte| {
                    // Writing to a String cannot fail.
                    let _ = write!(text, "{byte:02x}");
                    text
                })
            }
            Self::Imported(id) => format!("imported {id}"),
            Self::Before(ReminderPoint { ahead, date, before }) => {
                format!("before {} {date} {}", ahead.name(), before.as_secs())
            }
        }
    }

    /// The audience of this text.
    pub fn of_text(text: &str) -> Option<Self> {
        match text.split_once(' ').unwrap_or((text, "")) {
            ("everybody", "") => Some(Self::Everybody),
            ("tenant", tenant) => Some(Self::Tenant(tenant.to_owned())),
            ("selected", digits) => {
                let mut digest = [0; 32];
                if digits.len() != 64 || !digits.is_ascii() {
                    return None;
                }
                for (byte, at) in digest.iter_mut().zip((0..64).step_by(2)) {
                    *byte = u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()?;
                }
                Some(Self::Selected(digest))
            }
            ("imported", id) => Some(Self::Imported(CampaignId(Uuid::parse_str(id).ok()?))),
            ("before", rest) => {
                let mut words = rest.split(' ');
                let name = words.next()?;
                Some(Self::Before(ReminderPoint {
                    ahead: Ahead::ALL.into_iter().find(|ahead| ahead.name() == name)?,
                    date: words.next()?.parse().ok()?,
                    before: std::time::Duration::from_secs(words.next()?.parse().ok()?),
                }))
            }
            _ => None,
        }
    }
}

/// Where a campaign stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CampaignState {
    /// Its mails leave, as fast as `mail.rate` lets.
    Running,
    /// None leaves until it is resumed.
    Paused,
    /// Ended by an administrator, or by a date that was moved.
    Cancelled,
    /// Every mail came to its end.
    Finished,
}

impl CampaignState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Running, Self::Paused, Self::Cancelled, Self::Finished];

    /// In a stable spelling.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Cancelled => "cancelled",
            Self::Finished => "finished",
        }
    }

    /// The state with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Where it stands after the order; `None` if it cannot be given any more. To give one twice
    /// changes nothing.
    pub fn after(self, order: Order) -> Option<Self> {
        match (self, order) {
            (Self::Running | Self::Paused, Order::Pause) => Some(Self::Paused),
            (Self::Running | Self::Paused, Order::Resume) => Some(Self::Running),
            (Self::Running | Self::Paused | Self::Cancelled, Order::Cancel) => {
                Some(Self::Cancelled)
            }
            _ => None,
        }
    }
}

/// What an administrator can tell a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Let no further mail leave.
    Pause,
    /// Go on.
    Resume,
    /// Let no further mail leave, ever.
    Cancel,
}

/// A campaign as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Campaign {
    /// Its identity.
    pub id: CampaignId,
    /// What its mails are about.
    pub kind: CampaignKind,
    /// For whom it is.
    pub audience: Audience,
    /// Where it stands.
    pub state: CampaignState,
    /// Whether every account of the audience is in the plan.
    pub planned: bool,
    /// Where the next part of the plan begins; `None` at the beginning.
    pub planned_to: Option<String>,
    /// When it was begun.
    pub begun_at: Timestamp,
    /// When it was cancelled, or its last mail came to its end.
    pub ended_at: Option<Timestamp>,
}

/// How far a campaign is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Not yet in the outbox.
    pub planned: u64,
    /// In the outbox: waiting for its (next) attempt, or being handed over.
    pub queued: u64,
    /// The mail server has it.
    pub sent: u64,
    /// Given up.
    pub failed: u64,
    /// Not needed (any more), or cancelled.
    pub dropped: u64,
    /// Accounts that get none, because there is no address on file. Not part of the total.
    pub without_email: u64,
}

impl Progress {
    /// All mails.
    pub fn total(&self) -> u64 {
        self.planned + self.queued + self.sent + self.failed + self.dropped
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::account::{Bounce, Role, StoredPassword};
    use super::super::login_name::LoginName;
    use super::*;

    #[test]
    fn names_are_read_back() {
        for kind in CampaignKind::ALL {
            assert_eq!(CampaignKind::named(kind.name()), Some(kind));
        }
        for state in CampaignState::ALL {
            assert_eq!(CampaignState::named(state.name()), Some(state));
        }
        let point = ReminderPoint {
            ahead: Ahead::Reject,
            date: "2018-12-03T05:00:00Z".parse().unwrap(),
            before: Duration::from_secs(7 * 86_400),
        };
        let picked = Audience::selected(&[AccountId(Uuid::from_u128(1))]);
        for audience in [
            Audience::Everybody,
            Audience::Tenant("acme.11111.service".into()),
            picked,
            Audience::Imported(CampaignId(Uuid::from_u128(7))),
            Audience::Before(point),
            Audience::Before(ReminderPoint { ahead: Ahead::Force, ..point }),
        ] {
            assert_eq!(Audience::of_text(&audience.text()), Some(audience));
        }
        for other in ["", "everybody else", "selected 00", "before dawn", "imported"] {
            assert_eq!(Audience::of_text(other), None, "{other}");
        }
    }

    /// R-E1, idempotent: the same choice is the same, however it was made.
    #[test]
    fn the_same_choice_is_the_same_audience() {
        let [one, other] = [1, 2].map(|number| AccountId(Uuid::from_u128(number)));
        assert_eq!(Audience::selected(&[one, other]), Audience::selected(&[other, one, one]));
        assert_ne!(Audience::selected(&[one]), Audience::selected(&[other]));
    }

    #[test]
    fn orders() {
        use CampaignState::{Cancelled, Finished, Paused, Running};
        use Order::{Cancel, Pause, Resume};
        for (state, order, after) in [
            (Running, Pause, Some(Paused)),
            (Paused, Pause, Some(Paused)),
            (Paused, Resume, Some(Running)),
            (Running, Resume, Some(Running)),
            (Running, Cancel, Some(Cancelled)),
            (Paused, Cancel, Some(Cancelled)),
            (Cancelled, Cancel, Some(Cancelled)),
            (Cancelled, Resume, None),
            (Cancelled, Pause, None),
            (Finished, Pause, None),
            (Finished, Resume, None),
            (Finished, Cancel, None),
        ] {
            assert_eq!(state.after(order), after, "{state:?} {order:?}");
        }
    }

    /// R-E1: bulk mails go to all without a password; R-A8: reminders to who has an address and is
    /// not disabled, while there is something to remind of.
    #[test]
    fn who_gets_a_mail() {
        let now: Timestamp = "2018-12-01T00:00:00Z".parse().unwrap();
        let user = Account {
            id: AccountId(Uuid::from_u128(1)),
            login: LoginName::parse("1001@acme").unwrap(),
            email: Some("a@b.example".into()),
            name: String::new(),
            role: Role::User,
            disabled: false,
            password: None,
            initial_password: None,
            previous_password: None,
            pin: None,
            pin_refused: false,
            bounced: None,
            epoch: 0,
            last_login_at: None,
            created_at: now,
        };
        let password = Some(StoredPassword { phc: String::new(), set_at: now });
        let soon = Schedule { reject: Some(now + Duration::from_secs(1)), ..Schedule::default() };
        let past = Schedule { reject: Some(now), ..Schedule::default() };
        for kind in CampaignKind::ALL {
            let fate = |account: Account| kind.fate(&account, &soon, now);
            assert_eq!(fate(user.clone()), Fate::Mail);
            assert_eq!(fate(Account { email: None, ..user.clone() }), Fate::WithoutEmail);
            let bounced = Some(Bounce { at: now, reason: String::new() });
            assert_eq!(fate(Account { bounced, ..user.clone() }), Fate::WithoutEmail);
            assert_eq!(fate(Account { disabled: true, ..user.clone() }), Fate::NotNeeded);
            let done = Account { password: password.clone(), ..user.clone() };
            assert_eq!(fate(Account { email: None, ..done.clone() }), Fate::NotNeeded);
            assert_eq!(fate(done), Fate::NotNeeded);
        }
        for schedule in [past, Schedule::default()] {
            assert_eq!(CampaignKind::Reminder.fate(&user, &schedule, now), Fate::NotNeeded);
            assert_eq!(CampaignKind::Welcome.fate(&user, &schedule, now), Fate::Mail);
        }
    }
}
