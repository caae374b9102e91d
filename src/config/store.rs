//! `[store]`: where accounts are kept (R-G3).

use std::path::{Path, PathBuf};

use super::section::Section;
use super::value::wrong_but;

/// `[store]`: the embedded store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// The SQLite file; made at the first start.
    pub file: PathBuf,
}

pub(super) fn read(section: &Section<'_>, data_dir: &Path) -> StoreConfig {
    let url = section.or("url", "sqlite".to_owned(), |value| match value.owned_text()? {
        url if url == "sqlite" => Ok(url),
        url if url.starts_with("postgres://") || url.starts_with("postgresql://") => Ok(url),
        // The text is not repeated: it may hold a password.
        _ => wrong_but("is no kind of store", "write \"sqlite\""),
    });
    let password = section.secret("password", "password_file");
    if url != "sqlite" {
        section.unavailable("url", "PostgreSQL; only \"sqlite\"");
    } else if password.is_some() {
        section.problem("password_file", "the embedded store has no password", None);
    }
    StoreConfig { file: data_dir.join("passgate.db") }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problems};

    #[test]
    fn embedded_in_the_data_directory() {
        let store = config("data_dir = \"/srv/passgate\"\n").store;
        assert_eq!(store.file.to_str(), Some("/srv/passgate/passgate.db"));
    }

    #[test]
    fn other_stores_are_errors_that_do_not_show_passwords() {
        let problems = |url| problems(&format!("[store]\nurl = \"{url}\"\n")).concat();
        let postgres = problems("postgres://user:canary@host/db");
        assert!(postgres.contains(":2: store.url: not available in this version: PostgreSQL"));
        assert!(!postgres.contains("canary"));
        assert!(!problems("mysql://user:canary@host/db").contains("canary"));
    }
}
