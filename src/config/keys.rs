//! `[keys]`: the key ring that seals PINs and cookies.

use std::path::{Path, PathBuf};

use super::section::Section;

/// `[keys]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeysConfig {
    /// The key ring; made at the first start, readable by its owner only.
    pub file: PathBuf,
}

pub(super) fn read(section: &Section<'_>, data_dir: &Path) -> KeysConfig {
    KeysConfig { file: section.path("file").unwrap_or_else(|| data_dir.join("keyring.json")) }
}

#[cfg(test)]
mod tests {
    use super::super::testing::config;

    #[test]
    fn the_ring_is_in_the_data_directory_unless_named() {
        let in_data = config("data_dir = \"data\"\n");
        assert_eq!(in_data.keys.file.to_str(), Some("/etc/passgate/data/keyring.json"));
        let named = config("[keys]\nfile = \"/srv/ring.json\"\n");
        assert_eq!(named.keys.file.to_str(), Some("/srv/ring.json"));
    }
}
