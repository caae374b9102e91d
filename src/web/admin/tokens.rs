//! Bearer tokens of the admin listener. Only their SHA-256 is kept, in a file of its own, so that
//! reading the data directory or the database opens nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::domain::secret::Secret;
use crate::ports::Random;

/// File name in the data directory.
pub const FILE_NAME: &str = "admin-tokens.json";

/// Prefix of every token, so that secret scanners recognise one.
const PREFIX: &str = "pgadm_";

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// GET and HEAD.
    Read,
    /// Everything but the making of tokens.
    Write,
}

/// A token as it is listed: never the token itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenInfo {
    /// Names it in `token revoke`; random, says nothing about the token.
    pub id: String,
    /// What it allows.
    pub scope: Scope,
    /// What it is for, in the operator's words; may be empty.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    #[serde(flatten)]
    info: TokenInfo,
    /// SHA-256 of the token, in hexadecimal.
    sha256: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Book {
    tokens: Vec<Kept>,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// It cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It holds something else.
    #[error("{} is damaged ({source}); remove it and make the tokens anew", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

/// The tokens of this gateway.
#[derive(Debug)]
pub struct AdminTokens {
    path: PathBuf,
    book: Mutex<Book>,
}

impl AdminTokens {
    /// Reads the file in `data_dir`; none yet means no tokens.
    pub fn open(data_dir: &Path) -> Result<Self, TokenFileError> {
        let path = data_dir.join(FILE_NAME);
        let book = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|source| TokenFileError::Damaged { path: path.clone(), source })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Book::default(),
            Err(source) => return Err(TokenFileError::Io { path, source }),
        };
        Ok(Self { path, book: Mutex::new(book) })
    }

    /// Makes a token. It is in the answer and nowhere else.
    pub fn create(
        &self,
        scope: Scope,
        name: &str,
        random: &dyn Random,
        now: Timestamp,
    ) -> Result<(TokenInfo, Secret), TokenFileError> {
        let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random.bytes::<32>()));
        let info = TokenInfo {
            id: hex(&random.bytes::<6>()),
            scope,
            name: name.to_owned(),
            created_at: now,
        };
        let kept = Kept { info: info.clone(), sha256: hex(&Sha256::digest(token.as_bytes())) };
        let mut book = self.book.lock();
        book.tokens.push(kept);
        if let Err(error) = self.save(&book) {
            book.tokens.pop();
            return Err(error);
        }
        Ok((info, Secret::new(token)))
    }

    /// The tokens, oldest first.
    pub fn list(&self) -> Vec<TokenInfo> {
        self.book.lock().tokens.iter().map(|kept| kept.info.clone()).collect()
    }

    /// Ends a token at once; `false` if there is none with this id.
    pub fn revoke(&self, id: &str) -> Result<bool, TokenFileError> {
        let mut book = self.book.lock();
        let Some(index) = book.tokens.iter().position(|kept| kept.info.id == id) else {
            return Ok(false);
        };
        // Ended in memory even when the file cannot be written: the answer says that it comes
        // back with a restart.
        book.tokens.remove(index);
        self.save(&book)?;
        Ok(true)
    }

    /// Whose token this is. Compares hashes, all of them, without stopping early.
    pub fn check(&self, token: &str) -> Option<TokenInfo> {
        let presented = hex(&Sha256::digest(token.as_bytes()));
        let book = self.book.lock();
        let mut found = None;
        for kept in &book.tokens {
            if bool::from(kept.sha256.as_bytes().ct_eq(presented.as_bytes())) {
                found = Some(kept.info.clone());
            }
        }
        found
    }

    /// Replaces the file as a whole: a crash leaves the old one or the new one.
    fn save(&self, book: &Book) -> Result<(), TokenFileError> {
        let failed = |source| TokenFileError::Io { path: self.path.clone(), source };
        let bytes = serde_json::to_vec_pretty(book)
            .map_err(|source| TokenFileError::Damaged { path: self.path.clone(), source })?;
        let new = self.path.with_extension("json.new");
        write_private(&new, &bytes).map_err(failed)?;
        fs::rename(&new, &self.path).map_err(failed)?;
        let directory = self.path.parent().unwrap_or(Path::new("."));
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // `mode` counts only for a file that is made here: a leftover keeps its own.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _: std::fmt::Result = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::*;

    struct Counting(AtomicU8);

    impl Random for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0.fetch_add(1, Ordering::Relaxed));
        }
    }

    fn random() -> Counting {
        Counting(AtomicU8::new(1))
    }

    /// R-E2: a token works until it is revoked, also after a restart; only its hash is on disk.
    #[test]
    fn a_token_lives_until_it_is_revoked() {
        let directory = tempfile::tempdir().unwrap();
        let tokens = AdminTokens::open(directory.path()).unwrap();
        let now = "2018-11-05T05:00:00Z".parse().unwrap();
        let (info, token) = tokens.create(Scope::Read, "grafana", &random(), now).unwrap();
        assert_eq!(tokens.check(token.expose()), Some(info.clone()));
        assert_eq!(tokens.check("pgadm_other"), None);
        assert_eq!(tokens.check(""), None);

        let file = fs::read_to_string(directory.path().join(FILE_NAME)).unwrap();
        assert!(!file.contains(token.expose()) && !file.contains(&token.expose()[PREFIX.len()..]));
        let mode = fs::metadata(directory.path().join(FILE_NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        let tokens = AdminTokens::open(directory.path()).unwrap();
        assert_eq!(tokens.list(), std::slice::from_ref(&info));
        assert!(tokens.revoke(&info.id).unwrap());
        assert!(!tokens.revoke(&info.id).unwrap());
        assert_eq!(tokens.check(token.expose()), None);
        let tokens = AdminTokens::open(directory.path()).unwrap();
        assert_eq!(tokens.check(token.expose()), None);
    }

    #[test]
    fn a_damaged_file_is_an_error_not_an_empty_list() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE_NAME), "{\"tokens\":").unwrap();
        let error = AdminTokens::open(directory.path()).unwrap_err();
        assert!(matches!(error, TokenFileError::Damaged { .. }), "{error}");
    }

    /// A token that could not be written down does not exist.
    #[test]
    fn a_full_disk_makes_no_token() {
        let directory = tempfile::tempdir().unwrap();
        let tokens = AdminTokens::open(&directory.path().join("missing")).unwrap();
        assert!(tokens.create(Scope::Write, "", &random(), Timestamp::UNIX_EPOCH).is_err());
        assert!(tokens.list().is_empty());
    }
}
