//! Writing a new PIN to the PBX (R-B4): (1) a durable journal row, (2) the write, (3) the proof,
//! (4) one transaction with everything. What a crash or an unclear answer leaves behind is brought
//! to an end in the background: proved, or written again and proved; undone only if the PBX says
//! no. The states are drawn in [`crate::domain::pin_journal`].
//!
//! Why nobody ends up with neither credential: until (4) nothing of ours has changed, so the user
//! is let in by what the PBX accepts, which is the old PIN or the one that they just chose. After
//! (4) the new password lets them in, whatever the PBX has; which PIN that is concerns only the
//! replay, which finds it out.

use std::time::Duration;

use jiff::Timestamp;

use super::login::{sealed_pin, stored_pin};
use super::pbx::{Asker, PinVerdict};
use super::{Outage, Services};
use crate::domain::account::{Account, AccountId};
use crate::domain::mail::NewMail;
use crate::domain::pin_journal::{GIVE_UP_AFTER, JournalEntry, Stage, retry_after};
use crate::domain::secret::Secret;
use crate::ports::{
    Begun, CredentialChange, JournalStep, NewPassword, OwnSession, PinWriting, PinWritten,
    PortalSession, SecurityEvent, Unavailable,
};

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
    asker: Asker<'_>,
) -> Result<Ended, Outage> {
    let old = stored_pin(services, account)?;
    let own = match own_session(services, account, old.as_ref(), asker).await? {
        Own::Session(session) => Some(session),
        Own::NotNeeded => None,
        Own::None => return Ok(Ended::Refused),
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
    let written = write_once(services, account, pair.pin, own.as_ref(), asker).await;
    if let Some(own) = &own {
        services.leave(own, asker).await;
    }
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

enum Own {
    NotNeeded,
    Session(PortalSession),
    /// One is needed, but the PIN on file opens none.
    None,
}

/// A session at the PBX with the PIN on file, where writing needs one.
async fn own_session(
    services: &Services,
    account: &Account,
    old: Option<&Secret>,
    asker: Asker<'_>,
) -> Result<Own, Outage> {
    if services.subscribers.writing() != PinWriting::OwnSession {
        return Ok(Own::NotNeeded);
    }
    let Some(old) = old else { return Ok(Own::None) };
    match services.try_pin(&account.login, old, &[], asker).await? {
        PinVerdict::Accepted(session) => Ok(Own::Session(session)),
        PinVerdict::Challenged(_) | PinVerdict::Refused => Ok(Own::None),
    }
}

async fn write_once(
    services: &Services,
    account: &Account,
    pin: &Secret,
    own: Option<&PortalSession>,
    asker: Asker<'_>,
) -> PinWritten {
    let own = own.map(|session| OwnSession {
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
    let shown = services.subscribers.read_pin(&account.login).await?;
    Ok(shown.is_some_and(|shown| shown.same_as(pin)))
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

/// Brings write-backs to an end that a dead process, or an unclear answer, left behind. Called at
/// start and every few seconds; returns how many were looked at.
pub async fn recover(services: &Services) -> Result<usize, Unavailable> {
    let due = services.credentials.due(services.process, services.clock.now()).await?;
    let mut looked_at = 0;
    for account in due {
        looked_at += 1;
        match recover_one(services, account).await {
            Ok(Recovered::Ended | Recovered::NotOurs) => {}
            // The PBX does not answer: it will not answer for the next account either.
            Ok(Recovered::Inconclusive) => break,
            Err(outage) => {
                tracing::warn!(%outage, "a PIN write-back could not be brought to an end");
                break;
            }
        }
    }
    Ok(looked_at)
}

enum Recovered {
    Ended,
    Inconclusive,
    NotOurs,
}

/// Which PIN the PBX has.
enum Has {
    New,
    Old,
    Neither,
    Unknown,
}

async fn recover_one(services: &Services, id: AccountId) -> Result<Recovered, Outage> {
    let now = services.clock.now();
    let claimed = services.credentials.claim(id, services.process, now, now + WORK).await?;
    let Some(entry) = claimed else { return Ok(Recovered::NotOurs) };
    let Some(account) = services.accounts.by_id(id).await? else { return Ok(Recovered::Ended) };
    let new = services.open_pin(id, &entry.new)?;
    let old = entry.old.as_ref().map(|old| services.open_pin(id, old)).transpose()?;
    let host = services.policies.public_host.clone();
    let asker = Asker { client: NOBODY, user_agent: "Passgate", host: &host };

    let mut has = which(services, &account, &new, old.as_ref(), asker).await;
    if matches!(has, Has::Old) {
        // The user chose it, and a write that is still on its way may yet arrive: what was begun is
        // done again. The same value twice is no harm.
        has = write_again(services, &account, &new, old.as_ref(), asker).await?;
    }
    finish(services, &account, entry, &new, has).await
}

/// What the background asks the PBX for comes from no client.
const NOBODY: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

async fn finish(
    services: &Services,
    account: &Account,
    entry: JournalEntry,
    new: &Secret,
    has: Has,
) -> Result<Recovered, Outage> {
    let (holder, now) = (services.process, services.clock.now());
    let next_attempt_at = now + retry_after(entry.attempts);
    let mut change = CredentialChange {
        account: account.id,
        password: None,
        pin: None,
        journal: JournalStep::Finish { holder },
        mails: Vec::new(),
    };
    let password = |phc| NewPassword { phc, at: entry.began_at, expected_epoch: entry.epoch };
    match (entry.stage, has) {
        (Stage::Writing, Has::Old | Has::Neither) => {
            services.credentials.abandon(account.id, holder).await?;
            record(services, account, "undone");
            return Ok(Recovered::Ended);
        }
        (Stage::Writing, Has::New) => {
            change.pin = Some(sealed_pin(services, account.id, new));
            change.password = entry.phc.map(password);
            change.mails.extend(services.report(account));
        }
        (Stage::Writing, Has::Unknown) => {
            change.password = entry.phc.map(password);
            change.mails.extend(services.report(account));
            change.journal = JournalStep::Pend { holder, next_attempt_at };
        }
        (Stage::Pending, Has::New) => {
            change.pin = Some(sealed_pin(services, account.id, new));
        }
        (Stage::Pending, Has::Old | Has::Unknown) if !over(&entry, now) => {
            services.credentials.postpone(account.id, holder, next_attempt_at).await?;
            return Ok(Recovered::Inconclusive);
        }
        // Changed elsewhere meanwhile, or too long ago: the PBX keeps what it has.
        (Stage::Pending, Has::Old | Has::Unknown | Has::Neither) => {
            services.credentials.commit(change).await?;
            record(services, account, "given_up");
            return Ok(Recovered::Ended);
        }
    }
    let pending = matches!(change.journal, JournalStep::Pend { .. });
    if services.credentials.commit(change.clone()).await?.is_none() {
        // Another password was set meanwhile: it stays.
        let (password, mails) = (None, Vec::new());
        services.credentials.commit(CredentialChange { password, mails, ..change }).await?;
    }
    services.sessions.end_all(account.id, None).await?;
    record(services, account, if pending { "pending" } else { "recovered" });
    Ok(if pending { Recovered::Inconclusive } else { Recovered::Ended })
}

fn over(entry: &JournalEntry, now: Timestamp) -> bool {
    entry.began_at + GIVE_UP_AFTER < now
}

/// Asks the PBX which PIN it has: its record, else by logins, the new PIN first.
async fn which(
    services: &Services,
    account: &Account,
    new: &Secret,
    old: Option<&Secret>,
    asker: Asker<'_>,
) -> Has {
    if services.subscribers.reading() {
        match services.subscribers.read_pin(&account.login).await {
            Ok(Some(shown)) if shown.same_as(new) => return Has::New,
            Ok(Some(shown)) if old.is_some_and(|old| old.same_as(&shown)) => return Has::Old,
            Ok(Some(_)) if old.is_some() => return Has::Neither,
            // No PIN before is known: what the record shows is the PIN before.
            Ok(_) if old.is_none() => return Has::Old,
            Ok(_) => return Has::Neither,
            Err(error) => tracing::warn!(%error, "a PIN could not be read from the PBX"),
        }
    }
    match opens(services, account, new, asker).await {
        Ok(true) => return Has::New,
        Ok(false) => {}
        Err(_) => return Has::Unknown,
    }
    let Some(old) = old else { return Has::Old };
    match opens(services, account, old, asker).await {
        Ok(true) => Has::Old,
        Ok(false) => Has::Neither,
        Err(_) => Has::Unknown,
    }
}

/// Writes a PIN once more; which one the PBX has afterwards: the old one only if it says no.
async fn write_again(
    services: &Services,
    account: &Account,
    new: &Secret,
    old: Option<&Secret>,
    asker: Asker<'_>,
) -> Result<Has, Outage> {
    let own = match own_session(services, account, old, asker).await? {
        Own::Session(session) => Some(session),
        Own::NotNeeded => None,
        Own::None => return Ok(Has::Old),
    };
    let written = write_once(services, account, new, own.as_ref(), asker).await;
    if let Some(own) = &own {
        services.leave(own, asker).await;
    }
    Ok(match written {
        PinWritten::Refused { .. } | PinWritten::NotAsked(_) => Has::Old,
        PinWritten::Done | PinWritten::Later | PinWritten::Unclear(_) => {
            match shows_up(services, account, new, PROMISE, asker).await {
                true => Has::New,
                false => Has::Unknown,
            }
        }
    })
}

fn record(services: &Services, account: &Account, result: &'static str) {
    services
        .audit
        .record(SecurityEvent::of("pin_write_back", "pbx", &account.login).with_result(result));
}
