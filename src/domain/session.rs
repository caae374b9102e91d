//! A portal session: who it belongs to, how it was obtained, and how long it lives.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::account::AccountId;
use super::grant::{Grant, PbxAccess};
use super::jar::Jar;
use super::login_name::LoginName;
use super::rollout::Phase;
use super::secret::Secret;

/// The random value in the browser's cookie. Only its hash is kept (see [`SessionId`]).
#[derive(Clone, PartialEq, Eq)]
pub struct SessionToken(pub [u8; 32]);

impl SessionToken {
    /// The id under which the session is stored.
    pub fn id(&self) -> SessionId {
        SessionId(Sha256::digest(self.0).into())
    }
}

impl std::fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionToken(…)")
    }
}

/// SHA-256 of the session token: useless to somebody who reads the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(pub [u8; 32]);

/// What the user proved when the session began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObtainedWith {
    /// The voicemail PIN: the phase rules hold on every request (R-A6).
    Pin,
    /// The portal password.
    Password,
    /// A one-time initial password: it reaches only the page where it is replaced (R-E1).
    InitialPassword,
}

/// How far the login came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Progress {
    /// Logged in.
    Complete,
    /// The PBX asked a second question (its MFA) that is not answered yet.
    Challenge,
    /// Logged in with the right password, but the PBX refused the PIN on file: only own pages
    /// are reachable until a PIN that works is known (R-B6).
    PinNeeded,
}

/// What a session may reach right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Everything; `notice` asks for a portal password.
    Full {
        /// Whether the warn notice is shown.
        notice: bool,
    },
    /// Only the set-password page (force, or an initial password).
    Held,
    /// Only the profile's challenge paths.
    Challenge,
    /// Only the page that asks for the current PIN.
    PinNeeded,
    /// Nothing: the session has ended.
    Ended,
}

/// How long sessions live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionPolicy {
    /// Ends after this long without interaction (R-C4).
    pub idle: Duration,
    /// Ends this long after its beginning, whatever happens; `None` for no such limit.
    pub absolute: Option<Duration>,
}

/// The end of a session that nobody ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// It ends after this time, in whole seconds …
    pub after: Duration,
    /// … unless there is an interaction before; `false`: in any case.
    pub can_be_put_off: bool,
}

/// A challenge that is not answered ends after ten minutes.
pub const CHALLENGE_LIFE: Duration = Duration::from_secs(600);

/// A session that began with an initial password ends after half an hour: somebody else may sit
/// before the open page by then. The initial password itself still works.
pub const REPLACING_LIFE: Duration = Duration::from_secs(1800);

/// A session as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// Hash of the token.
    pub id: SessionId,
    /// Whose it is.
    pub account: AccountId,
    /// Their login name, for logs and for resuming the PBX session.
    pub login: LoginName,
    /// What was proved at its beginning.
    pub obtained_with: ObtainedWith,
    /// How far the login came.
    pub progress: Progress,
    /// [`super::account::Account::epoch`] at its beginning; a later epoch ends the session.
    pub epoch: u64,
    /// When it began.
    pub created_at: Timestamp,
    /// Last interaction, as far as written back.
    pub last_seen: Timestamp,
    /// The PBX's cookies.
    pub jar: Jar,
    /// Grows with each change of the jar; an answer to an older generation is not taken in.
    pub jar_generation: u64,
    /// Index of the PBX server that holds the PBX session.
    pub server: usize,
    /// Browser, as it called itself at the beginning.
    pub user_agent: String,
    /// Address it began from.
    pub client: IpAddr,
    /// What an application holds instead of a cookie; `None` for a browser's session.
    pub grant: Option<Box<Grant>>,
    /// What the PBX knows that application by, instead of cookies.
    pub access: Option<Arc<PbxAccess>>,
}

impl SessionRecord {
    /// Whether it is a browser's, and not an application's.
    pub fn is_portal(&self) -> bool {
        self.grant.is_none()
    }
}

/// A session in memory, shared by all requests that use it. Last-seen and jar change without a
/// lock around the rest; ending it runs the kill switches of its open WebSockets.
pub struct LiveSession {
    record: SessionRecord,
    last_seen: AtomicI64,
    written: AtomicI64,
    ended: AtomicBool,
    jar: RwLock<Arc<JarState>>,
    next_watch: AtomicU64,
    watches: Mutex<Vec<(u64, KillSwitch)>>,
    unproved_pin: Mutex<Option<Secret>>,
    saves_jar: AtomicBool,
}

/// Closes a long-lived connection when its session ends.
pub type KillSwitch = Box<dyn Fn() + Send + Sync>;

/// The jar of a moment: what one request is sent with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JarState {
    /// The cookies.
    pub jar: Jar,
    /// Their `Cookie` header value, made once per change instead of once per request.
    pub header: Option<String>,
    /// What an application's requests are sent with instead.
    pub access: Option<Arc<PbxAccess>>,
    /// Which state of the jar this is.
    pub generation: u64,
    /// The PBX server that holds the session.
    pub server: usize,
}

impl JarState {
    /// What a stored session is sent with. Taken out of the record, not copied: there are as many of
    /// these as people signed in.
    pub fn taken_from(record: &mut SessionRecord) -> Self {
        let jar = std::mem::take(&mut record.jar);
        Self {
            header: jar.header(),
            jar,
            access: record.access.take(),
            generation: record.jar_generation,
            server: record.server,
        }
    }
}

impl LiveSession {
    /// Brings a stored session to life.
    pub fn new(mut record: SessionRecord) -> Arc<Self> {
        let seen = record.last_seen.as_second();
        record.user_agent.shrink_to_fit();
        let jar = JarState::taken_from(&mut record);
        Arc::new(Self {
            last_seen: AtomicI64::new(seen),
            written: AtomicI64::new(seen),
            ended: AtomicBool::new(false),
            jar: RwLock::new(Arc::new(jar)),
            next_watch: AtomicU64::new(0),
            watches: Mutex::new(Vec::new()),
            unproved_pin: Mutex::new(None),
            saves_jar: AtomicBool::new(false),
            record,
        })
    }

    /// What does not change during its life; the jar does, see [`Self::jar`] (here it is empty).
    pub fn record(&self) -> &SessionRecord {
        &self.record
    }

    /// The session as it would be stored now.
    pub fn snapshot(&self) -> SessionRecord {
        let jar = self.jar();
        SessionRecord {
            last_seen: self.last_seen(),
            jar: jar.jar.clone(),
            jar_generation: jar.generation,
            server: jar.server,
            access: jar.access.clone(),
            ..self.record.clone()
        }
    }

    /// Last interaction.
    pub fn last_seen(&self) -> Timestamp {
        Timestamp::from_second(self.last_seen.load(Ordering::Relaxed)).unwrap_or(Timestamp::MIN)
    }

    /// Notes an interaction (R-C4). A clock that went backward never shortens or lengthens a life.
    pub fn touch(&self, now: Timestamp) {
        self.last_seen.fetch_max(now.as_second(), Ordering::Relaxed);
    }

    /// The last-seen time if it moved a minute or more since it was last written back; marks it
    /// as written.
    pub fn unwritten_last_seen(&self) -> Option<Timestamp> {
        let seen = self.last_seen.load(Ordering::Relaxed);
        let written = self.written.load(Ordering::Relaxed);
        if seen - written < 60 {
            return None;
        }
        self.written.store(seen, Ordering::Relaxed);
        Timestamp::from_second(seen).ok()
    }

    /// The jar as it is now.
    pub fn jar(&self) -> Arc<JarState> {
        Arc::clone(&self.jar.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets an answer of the PBX change the jar, if the jar is still the one the request was sent
    /// with. Returns whether it changed.
    pub fn change_jar(&self, sent_with: u64, change: impl FnOnce(&mut Jar) -> bool) -> bool {
        let mut current = self.jar.write().unwrap_or_else(PoisonError::into_inner);
        if current.generation != sent_with {
            return false;
        }
        let mut jar = current.jar.clone();
        if !change(&mut jar) {
            return false;
        }
        *current = Arc::new(JarState {
            header: jar.header(),
            jar,
            access: current.access.clone(),
            generation: current.generation + 1,
            server: current.server,
        });
        true
    }

    /// Whether the caller is to save the jar: `false` while somebody else will read it to do so.
    pub fn begin_saving_jar(&self) -> bool {
        !self.saves_jar.swap(true, Ordering::AcqRel)
    }

    /// Said by who saves the jar, right before it is read: later changes need a save of their own.
    pub fn jar_is_read(&self) {
        self.saves_jar.store(false, Ordering::Release);
    }

    /// Puts in the jar of a new PBX session (R-C7), whatever was there before.
    pub fn replace_jar(&self, jar: Jar, server: usize) {
        let mut current = self.jar.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(JarState {
            header: jar.header(),
            jar,
            access: current.access.clone(),
            generation: current.generation + 1,
            server,
        });
    }

    /// Puts in a new access to the PBX's API, if the one before still is that of `sent_with`.
    /// Returns whether it changed.
    pub fn replace_access(&self, sent_with: u64, access: PbxAccess, server: usize) -> bool {
        let mut current = self.jar.write().unwrap_or_else(PoisonError::into_inner);
        if current.generation != sent_with {
            return false;
        }
        *current = Arc::new(JarState {
            access: Some(Arc::new(access)),
            generation: current.generation + 1,
            server,
            ..JarState::clone(&current)
        });
        true
    }

    /// Takes in what another process has stored, if it is of a newer generation.
    pub fn renew_jar(&self, stored: JarState) {
        let mut current = self.jar.write().unwrap_or_else(PoisonError::into_inner);
        if stored.generation > current.generation {
            *current = Arc::new(stored);
        }
    }

    /// Ends the session for everybody who holds it and closes its WebSockets.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
        let switches =
            std::mem::take(&mut *self.watches.lock().unwrap_or_else(PoisonError::into_inner));
        for (_, switch) in switches {
            switch();
        }
    }

    /// Whether it was ended in memory.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Registers a long-lived connection; the switch runs when the session ends, at once if it
    /// already has. [`Self::unwatch`] takes it back.
    pub fn watch(&self, switch: KillSwitch) -> u64 {
        let number = self.next_watch.fetch_add(1, Ordering::Relaxed);
        self.watches.lock().unwrap_or_else(PoisonError::into_inner).push((number, switch));
        if self.has_ended() {
            self.end();
        }
        number
    }

    /// Forgets a long-lived connection that has closed.
    pub fn unwatch(&self, number: u64) {
        self.watches
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|(other, _)| *other != number);
    }

    /// How many long-lived connections are open: an open WebSocket with traffic is never cut by
    /// the idle limit.
    pub fn watched(&self) -> usize {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Runs the kill switches without ending the session (a phase that now holds it back).
    pub fn close_watched(&self) {
        let switches =
            std::mem::take(&mut *self.watches.lock().unwrap_or_else(PoisonError::into_inner));
        for (_, switch) in switches {
            switch();
        }
    }

    /// Keeps the PIN of a login that the PBX has only challenged so far. In memory only: it goes
    /// into the vault when the challenge is answered, because until then nothing proves it.
    pub fn hold_pin(&self, pin: Secret) {
        *self.unproved_pin.lock().unwrap_or_else(PoisonError::into_inner) = Some(pin);
    }

    /// The PIN kept by [`Self::hold_pin`]; afterwards it is gone.
    pub fn take_pin(&self) -> Option<Secret> {
        self.unproved_pin.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What the session may reach at `now`, while `phase` runs for its tenant.
    pub fn standing(&self, policy: &SessionPolicy, phase: Phase, now: Timestamp) -> Standing {
        if self.has_ended() || self.expired(policy, now) {
            return Standing::Ended;
        }
        match (self.record.progress, self.record.obtained_with, phase) {
            (_, ObtainedWith::Pin, Phase::Reject) => Standing::Ended,
            (Progress::Challenge, _, _) => Standing::Challenge,
            (Progress::PinNeeded, _, _) => Standing::PinNeeded,
            (Progress::Complete, ObtainedWith::Password, _) => Standing::Full { notice: false },
            (Progress::Complete, ObtainedWith::Pin, Phase::Force)
            | (Progress::Complete, ObtainedWith::InitialPassword, _) => Standing::Held,
            (Progress::Complete, ObtainedWith::Pin, phase) => {
                Standing::Full { notice: phase == Phase::Warn }
            }
        }
    }

    /// When it ends by itself, seen from `now`.
    pub fn ending(&self, policy: &SessionPolicy, now: Timestamp) -> Ending {
        let left = |since: Timestamp, life: Duration| {
            let gone = now.as_second().saturating_sub(since.as_second());
            life.saturating_sub(Duration::from_secs(gone.try_into().unwrap_or(0)))
        };
        let fixed = self.longest_life(policy).map(|life| left(self.record.created_at, life));
        let idle = left(self.last_seen(), policy.idle);
        match fixed {
            Some(fixed) if fixed <= idle => Ending { after: fixed, can_be_put_off: false },
            _ => Ending { after: idle, can_be_put_off: true },
        }
    }

    /// How long it lives at most, whatever is done in it.
    pub fn longest_life(&self, policy: &SessionPolicy) -> Option<Duration> {
        let record = &self.record;
        let challenge = (record.progress == Progress::Challenge).then_some(CHALLENGE_LIFE);
        let replacing =
            (record.obtained_with == ObtainedWith::InitialPassword).then_some(REPLACING_LIFE);
        [policy.absolute, challenge, replacing].into_iter().flatten().min()
    }

    fn expired(&self, policy: &SessionPolicy, now: Timestamp) -> bool {
        if let Some(grant) = &self.record.grant {
            return grant_expired(grant, self.record.created_at, now);
        }
        let older_than = |since: Timestamp, life: Duration| {
            now.as_second().saturating_sub(since.as_second()) >= life.as_secs() as i64
        };
        // In both directions: a clock that was put back keeps the page open no longer.
        let since_login = now.duration_since(self.record.created_at).unsigned_abs();
        if self.record.obtained_with == ObtainedWith::InitialPassword
            && since_login >= REPLACING_LIFE
        {
            return true;
        }
        older_than(self.last_seen(), policy.idle)
            || self
                .longest_life(policy)
                .is_some_and(|life| older_than(self.record.created_at, life))
    }
}

/// A grant ends at its moment, and a clock that was put back before its beginning never makes it
/// live longer than it was given.
fn grant_expired(grant: &Grant, created_at: Timestamp, now: Timestamp) -> bool {
    let life = grant.expires_at.duration_since(created_at);
    now >= grant.expires_at || now.duration_since(created_at).abs() >= life
}

impl std::fmt::Debug for LiveSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveSession").field("login", &self.record.login).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const POLICY: SessionPolicy = SessionPolicy {
        idle: Duration::from_secs(4 * 3600),
        absolute: Some(Duration::from_secs(10 * 3600)),
    };

    fn session(progress: Progress) -> Arc<LiveSession> {
        LiveSession::new(SessionRecord {
            id: SessionToken([7; 32]).id(),
            account: AccountId(uuid::Uuid::from_u128(1)),
            login: LoginName::parse("1001@acme").unwrap(),
            obtained_with: ObtainedWith::Password,
            progress,
            epoch: 0,
            created_at: at(Duration::ZERO),
            last_seen: at(Duration::ZERO),
            jar: Jar::new(),
            jar_generation: 0,
            server: 0,
            user_agent: String::new(),
            client: IpAddr::from([203, 0, 113, 7]),
            grant: None,
            access: None,
        })
    }

    fn at(time: Duration) -> Timestamp {
        Timestamp::from_second(1_900_000_000).unwrap() + time
    }

    /// R-C4: what is said of a session's end is what becomes true: it is over at that moment and not
    /// before. An interaction puts the end off, up to the absolute limit.
    #[test]
    fn a_session_ends_when_it_says() {
        let session = session(Progress::Complete);
        for (seen, now, after, can_be_put_off) in [
            (0, 0, 4, true),
            (0, 3, 1, true),
            (3, 3, 4, true),
            (6, 6, 4, false),
            (8, 8, 2, false),
            (8, 11, 0, false),
        ] {
            session.touch(at(HOUR * seen));
            let ending = session.ending(&POLICY, at(HOUR * now));
            assert_eq!(ending, Ending { after: HOUR * after, can_be_put_off }, "{seen} {now}");
            let end = at(HOUR * now) + ending.after;
            let standing = |now| session.standing(&POLICY, Phase::Quiet, now);
            assert_eq!(standing(end), Standing::Ended);
            if !ending.after.is_zero() {
                assert_ne!(standing(end - Duration::from_secs(1)), Standing::Ended, "{seen} {now}");
            }
        }
        let forever = SessionPolicy { absolute: None, ..POLICY };
        let expected = Ending { after: HOUR * 4, can_be_put_off: true };
        assert_eq!(session.ending(&forever, at(HOUR * 8)), expected);
    }

    /// The PBX's second question is open for ten minutes, whatever is done meanwhile.
    #[test]
    fn a_challenge_cannot_be_put_off() {
        let challenged = session(Progress::Challenge);
        challenged.touch(at(Duration::from_secs(300)));
        let ending = challenged.ending(&POLICY, at(Duration::from_secs(300)));
        assert_eq!(ending, Ending { after: Duration::from_secs(300), can_be_put_off: false });
    }
}
