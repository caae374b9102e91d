//! The key ring's file: JSON, readable by its owner only, always replaced as a whole.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::KeyState;

/// Why the key ring cannot be used. Passgate does not start.
#[derive(Debug, thiserror::Error)]
pub enum KeyRingError {
    /// The file cannot be read or written.
    #[error("the key ring {path} cannot be used: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others than the owner may read or write the file.
    #[error(
        "the key ring {path} is open to others (mode {mode:04o}): run chmod 600 on it, and think \
         of who may have read it"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is not a key ring.
    #[error("the key ring {path} cannot be understood: {detail}; restore it from a backup")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong; never a part of a key.
        detail: String,
    },
}

/// The keys in memory.
#[derive(Clone)]
pub(super) struct Ring {
    /// Oldest first, at least one.
    pub(super) keys: Vec<RingKey>,
    pub(super) fingerprint_key: Zeroizing<[u8; 32]>,
}

/// One key.
#[derive(Clone)]
pub(super) struct RingKey {
    pub(super) id: u32,
    pub(super) created_at: Timestamp,
    pub(super) state: KeyState,
    pub(super) key: Zeroizing<[u8; 32]>,
}

impl Ring {
    pub(super) fn key(&self, id: u32) -> Option<&RingKey> {
        self.keys.iter().find(|key| key.id == id)
    }

    #[allow(clippy::expect_used, reason = "a ring without keys is neither made nor read")]
    pub(super) fn newest(&self) -> &RingKey {
        let active = self.keys.iter().filter(|key| key.state == KeyState::Active);
        active.max_by_key(|key| key.id).or(self.keys.last()).expect("a ring has a key")
    }
}

const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RingFile {
    version: u32,
    keys: Vec<KeyEntry>,
    fingerprint_key: KeyText,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyEntry {
    id: u32,
    created_at: Timestamp,
    key: KeyText,
    state: KeyState,
}

/// A key in base64.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
struct KeyText(String);

impl KeyText {
    fn of(key: &[u8; 32]) -> Self {
        Self(STANDARD.encode(key))
    }

    fn key(&self) -> Option<Zeroizing<[u8; 32]>> {
        let bytes = Zeroizing::new(STANDARD.decode(&self.0).ok()?);
        bytes.as_slice().try_into().ok().map(Zeroizing::new)
    }
}

/// The ring at `path`; `None` if there is no file.
pub(super) fn read(path: &Path) -> Result<Option<Ring>, KeyRingError> {
    let error = |source| KeyRingError::File { path: path.to_owned(), source };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(other) => return Err(error(other)),
    };
    let mode = file.metadata().map_err(error)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyRingError::Exposed { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new(Vec::with_capacity(16 * 1024));
    file.read_to_end(&mut text).map_err(error)?;
    let ring =
        parse(&text).map_err(|detail| KeyRingError::Malformed { path: path.to_owned(), detail })?;
    Ok(Some(ring))
}

/// Writes a new ring unless another process was faster; the ring that is on file afterwards.
pub(super) fn create(path: &Path, ring: &Ring) -> Result<Ring, KeyRingError> {
    let error = |source| KeyRingError::File { path: path.to_owned(), source };
    if let Some(directory) = directory(path) {
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(error)?;
    }
    let temporary = write_temporary(path, ring).map_err(error)?;
    // A hard link, unlike a rename, never replaces a ring that is already there.
    let linked = fs::hard_link(&temporary, path);
    fs::remove_file(&temporary).map_err(error)?;
    match linked {
        Ok(()) => {
            sync_directory(path).map_err(error)?;
            Ok(ring.clone())
        }
        Err(exists) if exists.kind() == io::ErrorKind::AlreadyExists => {
            read(path)?.ok_or_else(|| error(io::ErrorKind::NotFound.into()))
        }
        Err(other) => Err(error(other)),
    }
}

/// Replaces the ring on file; after a crash the file is the old ring or the new one.
pub(super) fn replace(path: &Path, ring: &Ring) -> Result<(), KeyRingError> {
    let error = |source| KeyRingError::File { path: path.to_owned(), source };
    let temporary = write_temporary(path, ring).map_err(error)?;
    fs::rename(&temporary, path).map_err(error)?;
    sync_directory(path).map_err(error)
}

fn write_temporary(path: &Path, ring: &Ring) -> io::Result<PathBuf> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let temporary = path.with_file_name(name);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(&serialise(ring)?)?;
    file.sync_all()?;
    Ok(temporary)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(directory(path).unwrap_or(Path::new(".")))?.sync_all()
}

fn directory(path: &Path) -> Option<&Path> {
    path.parent().filter(|parent| !parent.as_os_str().is_empty())
}

fn serialise(ring: &Ring) -> io::Result<Zeroizing<Vec<u8>>> {
    let entry = |key: &RingKey| KeyEntry {
        id: key.id,
        created_at: key.created_at,
        key: KeyText::of(&key.key),
        state: key.state,
    };
    let file = RingFile {
        version: FORMAT,
        keys: ring.keys.iter().map(entry).collect(),
        fingerprint_key: KeyText::of(&ring.fingerprint_key),
    };
    let mut text = Zeroizing::new(Vec::with_capacity(16 * 1024));
    serde_json::to_writer_pretty(&mut *text, &file)?;
    text.push(b'\n');
    Ok(text)
}

/// Explains what is wrong without quoting the file.
fn parse(text: &[u8]) -> Result<Ring, String> {
    let file: RingFile = serde_json::from_slice(text).map_err(|error| {
        format!("not the JSON of a key ring (line {}, column {})", error.line(), error.column())
    })?;
    if file.version != FORMAT {
        return Err(format!("its format {} is not known to this version", file.version));
    }
    let mut keys = Vec::with_capacity(file.keys.len());
    for entry in &file.keys {
        let key = entry.key.key().ok_or(format!("key {} is not 32 bytes in base64", entry.id))?;
        if keys.iter().any(|known: &RingKey| known.id == entry.id) {
            return Err(format!("key {} is there twice", entry.id));
        }
        keys.push(RingKey { id: entry.id, created_at: entry.created_at, state: entry.state, key });
    }
    if keys.is_empty() {
        return Err("it has no keys".to_owned());
    }
    keys.sort_by_key(|key| key.id);
    let fingerprint_key =
        file.fingerprint_key.key().ok_or("the fingerprint key is not 32 bytes in base64")?;
    Ok(Ring { keys, fingerprint_key })
}
