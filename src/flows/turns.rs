//! One attempt of a login name at a time.
//!
//! Attempts are counted before they are judged. Were they judged side by side, an application that
//! asks for six tokens at once, with the right password, would find its name locked by the five that
//! are still under way.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

use crate::domain::lockout::AttemptSubject;

/// Who waits longer goes on without a turn: a PBX that hangs holds up one attempt, not all of them.
const PATIENCE: Duration = Duration::from_secs(3);

/// The attempts under way, by whom they count for.
#[derive(Default)]
pub struct Turns(Mutex<HashMap<String, Weak<Turn<()>>>>);

impl Turns {
    /// Waits for those of the same name (or known browser) that came before. `None`: waited long
    /// enough.
    pub(super) async fn wait(&self, subject: &AttemptSubject) -> Option<OwnedMutexGuard<()>> {
        let key = match &subject.device {
            Some(device) => format!("{device} {}", subject.name),
            None => subject.name.clone(),
        };
        let turn = self.of(key);
        tokio::time::timeout(PATIENCE, turn.lock_owned()).await.ok()
    }

    fn of(&self, key: String) -> Arc<Turn<()>> {
        let mut turns = self.0.lock();
        if turns.len() >= 1024 {
            turns.retain(|_, turn| turn.strong_count() > 0);
        }
        let known = turns.get(&key).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let turn = Arc::new(Turn::new(()));
            turns.insert(key, Arc::downgrade(&turn));
            turn
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(name: &str) -> AttemptSubject {
        AttemptSubject { name: name.into(), device: None, address: None }
    }

    /// R-C5: attempts of one name are judged one after the other, those of others are not held up.
    #[tokio::test(start_paused = true)]
    async fn one_name_one_attempt() {
        let turns = Turns::default();
        let first = turns.wait(&subject("1001@acme")).await;
        assert!(first.is_some());
        assert!(turns.wait(&subject("1002@acme")).await.is_some());
        assert!(turns.wait(&subject("1001@acme")).await.is_none(), "it waited and went on");
        drop(first);
        assert!(turns.wait(&subject("1001@acme")).await.is_some());
    }
}
