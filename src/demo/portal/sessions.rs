//! PHP-style sessions: made at the first visit, any id that a client brings is taken.

use std::collections::HashMap;

use parking_lot::Mutex;

/// Sessions kept; beyond it those that are not signed in are dropped.
const MAX_SESSIONS: usize = 100_000;

/// What the portal remembers of one browser.
#[derive(Debug, Clone, Default)]
pub(super) struct Session {
    /// The hidden `data[_Token][key]` of this session's forms.
    pub(super) form_token: String,
    /// Login name of the signed-in user.
    pub(super) user: Option<String>,
    /// Login name of the user whose second factor is awaited.
    pub(super) challenged: Option<String>,
    /// A message for the next page.
    pub(super) flash: Option<String>,
    /// The chosen language, such as `en`.
    pub(super) language: Option<String>,
}

#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<String, Session>>);

impl Sessions {
    /// The session that a client presented, or a new one; with its id and whether the client has to
    /// be told. As PHP without strict mode, an unknown id becomes a session.
    pub(super) fn open(&self, presented: Option<&str>) -> (String, bool) {
        let usable = presented.filter(|id| {
            (1..=128).contains(&id.len())
                && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-,".contains(&byte))
        });
        let (id, is_new) = usable.map_or_else(|| (random_hex(13), true), |id| (id.into(), false));
        let mut sessions = self.0.lock();
        if sessions.len() >= MAX_SESSIONS {
            sessions.retain(|_, session| session.user.is_some());
        }
        sessions
            .entry(id.clone())
            .or_insert_with(|| Session { form_token: random_hex(20), ..Session::default() });
        (id, is_new)
    }

    pub(super) fn read(&self, id: &str) -> Session {
        self.0.lock().get(id).cloned().unwrap_or_default()
    }

    pub(super) fn change<T>(&self, id: &str, change: impl FnOnce(&mut Session) -> T) -> T {
        change(self.0.lock().entry(id.to_owned()).or_default())
    }

    /// Moves a session to a new id.
    pub(super) fn rotate(&self, id: &str) -> String {
        let mut sessions = self.0.lock();
        let session = sessions.remove(id).unwrap_or_default();
        let new = random_hex(13);
        sessions.insert(new.clone(), session);
        new
    }

    pub(super) fn end(&self, id: &str) {
        self.0.lock().remove(id);
    }

    pub(super) fn clear(&self) {
        self.0.lock().clear();
    }

    pub(super) fn signed_in(&self) -> usize {
        self.0.lock().values().filter(|session| session.user.is_some()).count()
    }
}

/// `bytes` random bytes, in hexadecimal digits.
#[allow(clippy::expect_used, reason = "without randomness the example portal must not go on")]
pub(super) fn random_hex(bytes: usize) -> String {
    let mut buffer = [0; 32];
    let random = &mut buffer[..bytes.min(32)];
    getrandom::fill(random).expect("the operating system's random source works");
    hex(random)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |text, byte| text + &format!("{byte:02x}"))
}
