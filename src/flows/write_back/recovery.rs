//! Write-backs that a dead process, or an unclear answer, left behind.

use jiff::Timestamp;

use super::{Own, PROMISE, WORK, opens, own_session, record, shows_up, write_once};
use crate::domain::account::{Account, AccountId};
use crate::domain::pin_journal::{GIVE_UP_AFTER, JournalEntry, Stage, retry_after};
use crate::domain::secret::Secret;
use crate::flows::login::sealed_pin;
use crate::flows::pbx::Asker;
use crate::flows::{Outage, Services};
use crate::ports::{CredentialChange, JournalStep, NewPassword, PinWritten, Unavailable};

/// Brings write-backs to an end that a dead process, or an unclear answer, left behind. Called at
/// start and every few seconds; returns how many were looked at.
pub async fn recover(services: &Services) -> Result<usize, Unavailable> {
    let due = services.credentials.due(services.process, services.clock.now()).await?;
    let mut looked_at = 0;
    // A PBX that does not answer for one account will not answer for the next either; but their
    // passwords are to become valid all the same.
    let mut pbx_answers = true;
    for account in due {
        looked_at += 1;
        match recover_one(services, account, pbx_answers).await {
            Ok(answered) => pbx_answers &= answered,
            Err(outage) => {
                tracing::warn!(%outage, "a PIN write-back could not be brought to an end");
                break;
            }
        }
    }
    Ok(looked_at)
}

/// Which PIN the PBX has.
enum Has {
    New,
    Old,
    Neither,
    /// The old one, and it has just said no to the new one.
    Refused,
    Unknown,
}

/// Looks at one account; `false` if the PBX did not answer.
async fn recover_one(
    services: &Services,
    id: AccountId,
    pbx_answers: bool,
) -> Result<bool, Outage> {
    let now = services.clock.now();
    let claimed = services.credentials.claim(id, services.process, now, now + WORK).await?;
    let Some(entry) = claimed else { return Ok(true) };
    let Some(account) = services.accounts.by_id(id).await? else { return Ok(true) };
    let new = services.open_pin(id, &entry.new)?;
    let old = entry.old.as_ref().map(|old| services.open_pin(id, old)).transpose()?;
    let host = services.policies.public_host.clone();
    let asker = Asker { client: NOBODY, user_agent: "Passgate", host: &host, language: None };

    let mut has = match pbx_answers {
        true => which(services, &account, &new, old.as_ref(), asker).await,
        false => Has::Unknown,
    };
    let answered = !matches!(has, Has::Unknown);
    if matches!(has, Has::Old) {
        // The user chose it, and a write that is still on its way may yet arrive: what was begun is
        // done again. The same value twice is no harm.
        has = write_again(services, &account, &new, old.as_ref(), asker).await?;
    }
    finish(services, &account, entry, &new, has).await?;
    Ok(answered)
}

/// What the background asks the PBX for comes from no client.
const NOBODY: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

async fn finish(
    services: &Services,
    account: &Account,
    entry: JournalEntry,
    new: &Secret,
    has: Has,
) -> Result<(), Outage> {
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
        (Stage::Writing, Has::Old | Has::Neither | Has::Refused) => {
            services.credentials.abandon(account.id, holder).await?;
            record(services, account, "undone");
            return Ok(());
        }
        (Stage::Writing, Has::New) => {
            change.pin = Some(sealed_pin(services, account.id, new));
            change.password = entry.phc.map(password);
            change.mails.extend(services.report(account, None));
        }
        (Stage::Writing, Has::Unknown) => {
            change.password = entry.phc.map(password);
            change.mails.extend(services.report(account, None));
            change.journal = JournalStep::Pend { holder, next_attempt_at };
        }
        (Stage::Pending, Has::New) => {
            change.pin = Some(sealed_pin(services, account.id, new));
        }
        (Stage::Pending, Has::Old | Has::Unknown) if !over(&entry, now) => {
            services.credentials.postpone(account.id, holder, next_attempt_at).await?;
            return Ok(());
        }
        // Changed elsewhere meanwhile, refused, or too long ago: the PBX keeps what it has.
        (Stage::Pending, Has::Old | Has::Unknown | Has::Neither | Has::Refused) => {
            services.credentials.commit(change).await?;
            record(services, account, "given_up");
            return Ok(());
        }
    }
    let (pending, sets_password) =
        (matches!(change.journal, JournalStep::Pend { .. }), change.password.is_some());
    let mut saved = services.credentials.commit(change.clone()).await?;
    if saved.is_none() && sets_password {
        // Another password was set meanwhile: it stays.
        let (password, mails) = (None, Vec::new());
        let rest = CredentialChange { password, mails, ..change };
        saved = services.credentials.commit(rest).await?;
    } else if sets_password {
        services.sessions.end_all(account.id, None).await?;
    }
    // `None`: another process has taken the row over.
    if saved.is_some() {
        record(services, account, if pending { "pending" } else { "recovered" });
    }
    Ok(())
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
            Ok(Some(_)) => return Has::Old,
            // It keeps PINs to itself; logins tell.
            Ok(None) => {}
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
    let own = match own_session(services, account, old, None, asker).await? {
        Own::None => return Ok(Has::Old),
        own => own,
    };
    let written = write_once(services, account, new, &own, asker).await;
    own.leave(services, asker).await;
    Ok(match written {
        PinWritten::Refused { .. } => Has::Refused,
        PinWritten::NotAsked(_) => Has::Old,
        PinWritten::Done | PinWritten::Later | PinWritten::Unclear(_) => {
            match shows_up(services, account, new, PROMISE, asker).await {
                true => Has::New,
                false => Has::Unknown,
            }
        }
    })
}
