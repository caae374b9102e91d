//! The key ring: XChaCha20-Poly1305 under keys that are kept in one file beside the database.
//!
//! A sealed value is `version (1) ‖ key id (4, big-endian) ‖ nonce (24) ‖ ciphertext and tag`. The
//! first five bytes and the purpose are authenticated with it. Nonces are random: with 24 bytes
//! they never repeat.

mod file;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use parking_lot::Mutex;
use sha2::Sha256;
use zeroize::Zeroizing;

pub use self::file::KeyRingError;
use self::file::{Ring, RingKey};
use crate::ports::{Clock, Random, Vault, VaultError};

const VERSION: u8 = 1;
const NONCE: usize = 24;
const HEADER: usize = 5;
/// A value under an unknown key makes the file be read again, at most this often: another node
/// that shares the ring may have rotated it.
const REREAD: Duration = Duration::from_secs(1);
const CHECK: &str = "ring-check";

/// What `keys list` shows of a key. Never the key.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct KeyInfo {
    /// Its number, which every value that it sealed carries.
    pub id: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// Whether it seals, or only opens what it sealed.
    pub state: KeyState,
}

/// What a key is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    /// Seals new values.
    Active,
    /// Opens what it sealed in its time.
    Retired,
}

/// See [`KeyRing::derive`].
pub struct DerivedKey {
    /// When the key was made that it comes from.
    pub created_at: Timestamp,
    /// The secret.
    pub secret: Zeroizing<[u8; 32]>,
}

/// The keys that seal PINs, jars and cookies.
pub struct KeyRing {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    ring: ArcSwap<Ring>,
    changes: AtomicU64,
    /// When the file was last read because of an unknown key; also serialises changes of the ring.
    reread: Mutex<Option<Instant>>,
}

impl KeyRing {
    /// Reads the ring at `path`, or makes one (0600) if there is none. A file that others may read,
    /// or that is not a key ring, is refused.
    pub fn open_or_create(
        path: &Path,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, KeyRingError> {
        let ring = match file::read(path)? {
            Some(ring) => ring,
            None => {
                let first = Ring {
                    keys: vec![new_key(1, clock.now(), &*random)],
                    fingerprint_key: Zeroizing::new(random.bytes()),
                };
                file::create(path, &first)?
            }
        };
        let path = path.to_owned();
        let reread = Mutex::new(None);
        let (ring, changes) = (ArcSwap::from_pointee(ring), AtomicU64::new(0));
        Ok(Self { path, clock, random, ring, changes, reread })
    }

    /// The keys, oldest first.
    pub fn list(&self) -> Vec<KeyInfo> {
        self.ring.load().keys.iter().map(RingKey::info).collect()
    }

    /// Adds a key that seals from now on; those before only open.
    pub fn rotate(&self) -> Result<KeyInfo, KeyRingError> {
        let _changes = self.reread.lock();
        // Another node may have rotated the shared file.
        let mut ring = file::read(&self.path)?.unwrap_or_else(|| Ring::clone(&self.ring.load()));
        let id = ring.keys.iter().map(|key| key.id).max().unwrap_or(0) + 1;
        for key in &mut ring.keys {
            key.state = KeyState::Retired;
        }
        let key = new_key(id, self.clock.now(), &*self.random);
        let info = key.info();
        ring.keys.push(key);
        file::replace(&self.path, &ring)?;
        self.take_in(ring);
        Ok(info)
    }

    /// A secret for each key of the ring, made from it for one purpose and good for no other: the
    /// newest first. Nodes that share the ring derive the same.
    #[allow(clippy::expect_used, reason = "HMAC takes keys of any length")]
    pub fn derive(&self, purpose: &str) -> Vec<DerivedKey> {
        let ring = self.ring.load();
        let newest = ring.newest();
        let older = ring.keys.iter().rev().filter(|key| key.id != newest.id);
        std::iter::once(newest)
            .chain(older)
            .map(|key| {
                let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&*key.key)
                    .expect("HMAC takes keys of any length");
                mac.update(purpose.as_bytes());
                let secret = Zeroizing::new(mac.finalize().into_bytes().into());
                DerivedKey { created_at: key.created_at, secret }
            })
            .collect()
    }

    /// Moves whenever the ring may have changed: what was derived before is to be derived anew.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Reads the file again if that was not done for `patience` (at least a second): another node
    /// may have rotated the ring.
    pub fn look_again(&self, patience: Duration) {
        let mut last = self.reread.lock();
        if last.is_none_or(|last| last.elapsed() >= patience.max(REREAD)) {
            *last = Some(Instant::now());
            if let Ok(Some(ring)) = file::read(&self.path) {
                self.take_in(ring);
            }
        }
    }

    fn take_in(&self, ring: Ring) {
        self.ring.store(Arc::new(ring));
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// A value for the database to keep, by which it knows its ring again.
    pub fn check_value(&self) -> Vec<u8> {
        self.seal(CHECK, &self.fingerprint(CHECK, b"passgate"))
    }

    /// Whether `check_value` was made by this ring.
    pub fn matches(&self, check_value: &[u8]) -> bool {
        self.open(CHECK, check_value)
            .is_ok_and(|plain| plain[..] == self.fingerprint(CHECK, b"passgate"))
    }

    fn reread_for(&self, id: u32) -> Option<Arc<Ring>> {
        self.look_again(REREAD);
        Some(self.ring.load_full()).filter(|ring| ring.key(id).is_some())
    }
}

impl Vault for KeyRing {
    #[allow(clippy::expect_used, reason = "encryption only fails for texts of more than 256 GB")]
    fn seal(&self, purpose: &str, plain: &[u8]) -> Vec<u8> {
        let ring = self.ring.load();
        let key = ring.newest();
        let header = header(key.id);
        let nonce = self.random.bytes::<NONCE>();
        let aad = associated(&header, purpose);
        let sealed = key
            .cipher()
            .encrypt((&nonce).into(), Payload { msg: plain, aad: &aad })
            .expect("the text is shorter than the cipher's limit");
        [&header[..], &nonce, &sealed].concat()
    }

    fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let (header, rest) = sealed.split_first_chunk::<HEADER>().ok_or(VaultError::Invalid)?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE>().ok_or(VaultError::Invalid)?;
        let [VERSION, id @ ..] = *header else { return Err(VaultError::Invalid) };
        let id = u32::from_be_bytes(id);
        let mut ring = self.ring.load_full();
        if ring.key(id).is_none() {
            ring = self.reread_for(id).ok_or(VaultError::UnknownKey(id))?;
        }
        let key = ring.key(id).ok_or(VaultError::UnknownKey(id))?;
        let aad = associated(header, purpose);
        key.cipher()
            .decrypt(nonce.into(), Payload { msg: ciphertext, aad: &aad })
            .map(Zeroizing::new)
            .map_err(|_| VaultError::Invalid)
    }

    #[allow(clippy::expect_used, reason = "HMAC takes keys of any length")]
    fn fingerprint(&self, purpose: &str, plain: &[u8]) -> [u8; 16] {
        let ring = self.ring.load();
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&*ring.fingerprint_key)
            .expect("HMAC takes keys of any length");
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        mac.update(&(purpose.len() as u64).to_be_bytes());
        mac.update(purpose.as_bytes());
        mac.update(plain);
        let full: [u8; 32] = mac.finalize().into_bytes().into();
        let mut half = [0; 16];
        half.copy_from_slice(&full[..16]);
        half
    }
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRing").field("keys", &self.list()).finish_non_exhaustive()
    }
}

impl RingKey {
    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.key).into())
    }

    fn info(&self) -> KeyInfo {
        KeyInfo { id: self.id, created_at: self.created_at, state: self.state }
    }
}

fn new_key(id: u32, created_at: Timestamp, random: &dyn Random) -> RingKey {
    RingKey { id, created_at, state: KeyState::Active, key: Zeroizing::new(random.bytes()) }
}

fn header(id: u32) -> [u8; HEADER] {
    let [a, b, c, d] = id.to_be_bytes();
    [VERSION, a, b, c, d]
}

fn associated(header: &[u8; HEADER], purpose: &str) -> Vec<u8> {
    [header, purpose.as_bytes()].concat()
}
