//! `[[redact]]` as it is written.

use serde::Deserialize;
use toml::Spanned;

use super::Text;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::profile) struct RawRedaction {
    pub paths: Spanned<Vec<Text>>,
    #[serde(default)]
    pub members: Vec<Text>,
    #[serde(default)]
    pub pointers: Vec<Text>,
    #[serde(default)]
    pub elements: Vec<Text>,
    #[serde(default)]
    pub with: String,
}
