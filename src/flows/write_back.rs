//! Writing a new PIN to the PBX (R-B4): (1) a durable journal row, (2) the write, (3) the proof,
//! (4) one transaction with everything. What a crash or an unclear answer leaves behind is brought
//! to an end in the background: proved, or written again and proved; undone only if the PBX says
//! no. The states are drawn in [`crate::domain::pin_journal`].
//!
//! Why nobody ends up with neither credential: until (4) nothing of ours has changed, so the user
//! is let in by what the PBX accepts, which is the old PIN or the one that they just chose. After
//! (4) the new password lets them in, whatever the PBX has; which PIN that is concerns only the
//! replay, which finds it out.

mod recovery;

use std::time::Duration;

use super::login::{sealed_pin, stored_pin};
use super::pbx::{Asker, PinVerdict};
use super::{Outage, Services};
use crate::domain::account::Account;
use crate::domain::mail::NewMail;
use crate::domain::pin_journal::{JournalEntry, Stage, retry_after};
use crate::domain::secret::Secret;
use crate::ports::{
    AccountChange, Begun, CredentialChange, JournalStep, NewPassword, OwnSession, PinWriting,
    PinWritten, PortalSession, SecurityEvent, Unavailable,
};

pub use recovery::recover;

/// A new password that is to become valid together with a new PIN.
pub(super) struct NewPair<'a> {
    pub password: NewPassword,
    pub pin: &'a Secret,
    pub mails: Vec<NewMail>,
}

/// How it ended.
pub(super) enum Ended {
    /// Both are valid.
    Written(Account),
    /// The password is valid, the PIN is still being written.
    Pending(Account),
    /// The PBX does not take the PIN; nothing has changed.
    Refused,
    /// Another write-back of the account is under way.
    Conflict,
    /// Somebody else set a password meanwhile.
    Overtaken,
}

/// When the PBX's record is read again until it shows the new PIN: some PBXs say "done" before all
/// their servers know it.
const READ_AGAIN: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(100),
    Duration::from_millis(300),
    Duration::from_millis(800),
    Duration::from_millis(1800),
];

/// Where no record can be read, a PIN that was only promised (202) is tried once, after this time:
/// each try with a PIN that is not there yet looks like a wrong PIN to the PBX.
const PROMISE: Duration = Duration::from_millis(1500);

/// A row that is being worked on is left alone for this time, which is longer than any work on it
/// takes. What a process that died was working on is taken over at once.
const WORK: Duration = Duration::from_secs(600);

/// Writes a new PIN, and makes the new password valid with it.
pub(super) async fn write(
    services: &Services,
    account: &Account,
    pair: NewPair<'_>,
    at_hand: Option<AtHand>,
    asker: Asker<'_>,
) -> Result<Ended, Outage> {
    let old = stored_pin(services, account)?;
    let own = match own_session(services, account, old.as_ref(), at_hand, asker).await? {
        Own::None => return Ok(Ended::Refused),
        own => own,
    };
    let now = services.clock.now();
    let entry = JournalEntry {
        account: account.id,
        stage: Stage::Writing,
        phc: Some(pair.password.phc.clone()),
        epoch: account.epoch,
        old: account.pin.clone(),
        new: sealed_pin(services, account.id, pair.pin),
        holder: services.process,
        began_at: now,
        attempts: 0,
        next_attempt_at: now + WORK,
    };
    match services.credentials.begin(entry).await? {
        Begun::Yes => {}
        Begun::Conflict => return Ok(Ended::Conflict),
        Begun::Overtaken => return Ok(Ended::Overtaken),
    }
    let written = write_once(services, account, pair.pin, &own, asker).await;
    own.leave(services, asker).await;
    let proved = match &written {
        PinWritten::NotAsked(outage) => {
            services.credentials.abandon(account.id, services.process).await?;
            return Err(Outage::Pbx(outage.clone()));
        }
        PinWritten::Refused { detail } => {
            // A "no" is believed, but a look costs nothing: the old state must not be declared
            // while the PBX has the new one.
            let has_it = read_equals(services, account, pair.pin).await.unwrap_or(false);
            if !has_it {
                services.credentials.abandon(account.id, services.process).await?;
                tracing::warn!(login = %account.login, detail, "the PBX refused a new PIN");
                record(services, account, "refused");
                return Ok(Ended::Refused);
            }
            true
        }
        PinWritten::Done => shows_up(services, account, pair.pin, Duration::ZERO, asker).await,
        PinWritten::Later => shows_up(services, account, pair.pin, PROMISE, asker).await,
        PinWritten::Unclear(outage) => {
            tracing::warn!(login = %account.login, %outage, "it is not clear whether the PBX took a new PIN");
            shows_up(services, account, pair.pin, Duration::ZERO, asker).await
        }
    };
    conclude(services, account, pair, proved).await
}

/// Step 4. The password is valid from here on, whether the PIN was proved or not.
async fn conclude(
    services: &Services,
    account: &Account,
    pair: NewPair<'_>,
    proved: bool,
) -> Result<Ended, Outage> {
    let holder = services.process;
    let now = services.clock.now();
    let pin = proved.then(|| sealed_pin(services, account.id, pair.pin));
    let journal = match proved {
        true => JournalStep::Finish { holder },
        false => JournalStep::Pend { holder, next_attempt_at: now + retry_after(0) },
    };
    let change = CredentialChange {
        account: account.id,
        password: Some(pair.password),
        pin: pin.clone(),
        journal,
        mails: pair.mails,
    };
    if let Some(changed) = services.credentials.commit(change).await? {
        record(services, account, if proved { "written" } else { "pending" });
        return Ok(if proved { Ended::Written(changed) } else { Ended::Pending(changed) });
    }
    // Another password was set while the PBX was asked. It stays; the PIN is what it is.
    let change =
        CredentialChange { account: account.id, password: None, pin, journal, mails: Vec::new() };
    services.credentials.commit(change).await?;
    Ok(Ended::Overtaken)
}

/// The PBX session that the user has.
pub(super) struct AtHand {
    pub session: PortalSession,
    /// Whether it was opened a moment ago. An older one may be over at the PBX.
    pub fresh: bool,
}

enum Own {
    NotNeeded,
    /// The user's, who keeps it.
    Lent(PortalSession),
    /// Opened for this.
    Opened(PortalSession),
    /// One is needed, but the PIN on file opens none.
    None,
}

impl Own {
    fn session(&self) -> Option<&PortalSession> {
        match self {
            Self::Lent(session) | Self::Opened(session) => Some(session),
            Self::NotNeeded | Self::None => None,
        }
    }

    async fn leave(&self, services: &Services, asker: Asker<'_>) {
        if let Self::Opened(session) = self {
            services.leave(session, asker).await;
        }
    }
}

/// A session of the user at the PBX, where writing needs one: the one at hand, else one with the
/// PIN on file. Behind the PBX's second question there is only the one at hand.
async fn own_session(
    services: &Services,
    account: &Account,
    old: Option<&Secret>,
    at_hand: Option<AtHand>,
    asker: Asker<'_>,
) -> Result<Own, Outage> {
    if services.subscribers.writing() != PinWriting::OwnSession {
        return Ok(Own::NotNeeded);
    }
    let lent = match at_hand {
        Some(AtHand { session, fresh: true }) => return Ok(Own::Lent(session)),
        Some(AtHand { session, fresh: false }) => Own::Lent(session),
        None => Own::None,
    };
    let Some(old) = old else { return Ok(lent) };
    match services.try_pin(&account.login, old, &[], asker).await? {
        PinVerdict::Accepted(session) => Ok(Own::Opened(session)),
        PinVerdict::Challenged(_) => Ok(lent),
        PinVerdict::Refused => {
            // R-B6: it was changed elsewhere, and is not sent again. Without another session nothing
            // can be written: next time the page asks for the present one, or for no PIN at all.
            services.accounts.change(account.id, AccountChange::PinRefused, None).await?;
            Ok(lent)
        }
    }
}

async fn write_once(
    services: &Services,
    account: &Account,
    pin: &Secret,
    own: &Own,
    asker: Asker<'_>,
) -> PinWritten {
    let own = own.session().map(|session| OwnSession {
        jar: &session.jar,
        server: session.server,
        user_agent: asker.user_agent,
        client: asker.client,
        host: asker.host,
    });
    services.subscribers.write_pin(&account.login, pin, own).await
}

/// Whether the PBX's record shows this PIN; an error where it cannot be read.
async fn read_equals(
    services: &Services,
    account: &Account,
    pin: &Secret,
) -> Result<bool, Unavailable> {
    if !services.subscribers.reading() {
        return Err(Unavailable::new("pbx", "records cannot be read"));
    }
    match services.subscribers.read_pin(&account.login).await? {
        Some(shown) => Ok(shown.same_as(pin)),
        // Some PBXs keep PINs to themselves: such a record says nothing about the PIN.
        None => Err(Unavailable::new("pbx", "its record of the user shows no PIN")),
    }
}

/// Proves a PIN that was just written, by reading, else by one login. `false`: not proved.
async fn shows_up(
    services: &Services,
    account: &Account,
    pin: &Secret,
    promise: Duration,
    asker: Asker<'_>,
) -> bool {
    for pause in READ_AGAIN {
        tokio::time::sleep(pause).await;
        match read_equals(services, account, pin).await {
            Ok(true) => return true,
            Ok(false) => {}
            Err(_) => {
                tokio::time::sleep(promise).await;
                return opens(services, account, pin, asker).await.unwrap_or(false);
            }
        }
    }
    false
}

/// Whether the PBX accepts this PIN at a login. Its second question comes after the PIN was right.
async fn opens(
    services: &Services,
    account: &Account,
    pin: &Secret,
    asker: Asker<'_>,
) -> Result<bool, Outage> {
    match services.try_pin(&account.login, pin, &[], asker).await? {
        PinVerdict::Accepted(session) | PinVerdict::Challenged(session) => {
            services.leave(&session, asker).await;
            Ok(true)
        }
        PinVerdict::Refused => Ok(false),
    }
}

fn record(services: &Services, account: &Account, result: &'static str) {
    services
        .audit
        .record(SecurityEvent::of("pin_write_back", "pbx", &account.login).with_result(result));
}
