//! Handing mails over, several side by side: a recipient whose server takes its time holds up its
//! own mail only. What is found out about the mail server itself holds for all.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinSet};

use super::Services;
use super::post::{HandedOver, hand_over, note};
use crate::domain::mail::{MailId, Portion, StoredMail};
use crate::ports::{SendError, Unavailable};

/// A process that has been handing a mail over for so long has died. One that lives knows what it
/// has in hand.
const LEASE: Duration = Duration::from_secs(120);

/// So many at a time are put off when the mail server cannot be used.
const BATCH: usize = 100;

/// Hands mails over.
pub struct Courier {
    services: Arc<Services>,
    hands: usize,
    tasks: JoinSet<Result<Fate, Unavailable>>,
    in_hand: HashMap<Id, MailId>,
}

/// What became of a mail, as far as it concerns others.
enum Fate {
    Settled,
    /// The mail server could not be asked.
    Outage(String),
}

/// Something that was found out while a mail was handed over.
#[must_use = "what holds for one mail holds for all"]
pub struct Finding(Result<Fate, Unavailable>);

impl Courier {
    /// One with so many hands, which is how many mails are under way at a time, at most.
    pub fn new(services: Arc<Services>, hands: usize) -> Self {
        Self { services, hands: hands.max(1), tasks: JoinSet::new(), in_hand: HashMap::new() }
    }

    /// What the free hands can take of a portion. The last one takes no bulk mail: who waits for a
    /// mail does not wait for the servers of many others.
    pub fn room(&self, portion: Portion) -> Portion {
        let free = self.hands.saturating_sub(self.tasks.len());
        let for_bulk = if self.hands > 1 { free.saturating_sub(1) } else { free };
        Portion { most: portion.most.min(free), bulk: portion.bulk.min(for_bulk) }
    }

    /// Takes a portion of the mails that are due in hand, by urgency, then oldest first; how many
    /// these are.
    pub async fn take_up(&mut self, portion: Portion) -> Result<usize, Unavailable> {
        let portion = self.room(portion);
        if portion.most == 0 || self.services.mail.is_none() {
            return Ok(0);
        }
        let due = self.claim(portion).await?;
        let taken = due.len();
        for stored in due {
            let (services, id) = (Arc::clone(&self.services), stored.mail.id);
            let task = self.tasks.spawn(async move { carry(&services, &stored).await });
            self.in_hand.insert(task.id(), id);
        }
        Ok(taken)
    }

    /// Waits until a mail is out of hand; `None` if there is none in hand. May be cut off.
    pub async fn next(&mut self) -> Option<Finding> {
        Some(Finding(match self.tasks.join_next_with_id().await? {
            Ok((task, fate)) => {
                self.in_hand.remove(&task);
                fate
            }
            Err(error) => {
                self.in_hand.remove(&error.id());
                // Reported as a panic already. The mail is tried again when its lease has ended.
                tracing::error!("handing a mail over came to a sudden end; it is tried again");
                Ok(Fate::Settled)
            }
        }))
    }

    /// What holds for one holds for all: when the mail server cannot be used, the others that are
    /// due are put off without asking it.
    pub async fn heed(&mut self, finding: Finding) -> Result<(), Unavailable> {
        let Fate::Outage(why) = finding.0? else { return Ok(()) };
        tracing::warn!(why, "the mail server cannot be used; mails wait");
        loop {
            let due = self.claim(Portion::of(BATCH)).await?;
            if due.is_empty() {
                return Ok(());
            }
            for stored in due {
                note(&self.services, &stored, Err(SendError::Outage(why.clone()))).await?;
            }
        }
    }

    /// Hands over what is due, to its end.
    pub async fn run_dry(&mut self) -> Result<(), Unavailable> {
        loop {
            self.take_up(Portion::of(usize::MAX)).await?;
            match self.next().await {
                Some(finding) => self.heed(finding).await?,
                None => return Ok(()),
            }
        }
    }

    /// Waits for the mails in hand, and takes up no others.
    pub async fn finish(&mut self) {
        while let Some(Finding(fate)) = self.next().await {
            if let Err(error) = fate {
                tracing::error!(%error, "what became of a mail could not be noted");
            }
        }
    }

    /// Those that are due and not in hand. What is in hand for longer than the lease (or seems so:
    /// the clock was set) is claimed anew with it, and stays in the same hand.
    async fn claim(&self, portion: Portion) -> Result<Vec<StoredMail>, Unavailable> {
        let now = self.services.clock.now();
        let mut due = self.services.outbox.claim(now, LEASE, portion).await?;
        due.retain(|stored| !self.in_hand.values().any(|id| *id == stored.mail.id));
        Ok(due)
    }
}

/// One mail, from the look whether it is still wanted to the note of what became of it.
async fn carry(services: &Services, stored: &StoredMail) -> Result<Fate, Unavailable> {
    let Some(office) = &services.mail else { return Ok(Fate::Settled) };
    let answer = match hand_over(services, office, stored).await {
        Ok(HandedOver::NotNeeded) => {
            services.outbox.drop_mail(stored.mail.id, services.clock.now()).await?;
            return Ok(Fate::Settled);
        }
        Ok(HandedOver::Asked(answer)) => answer,
        // A record that cannot be read holds up its own mail, not those behind it. If it is the
        // whole store, noting this fails as well.
        Err(unavailable) => Err(SendError::Later(unavailable.to_string())),
    };
    let fate = match &answer {
        Err(SendError::Outage(why)) => Fate::Outage(why.clone()),
        _ => Fate::Settled,
    };
    note(services, stored, answer).await?;
    Ok(fate)
}
