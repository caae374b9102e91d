//! `[subscriber]` as it is written.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::{RawSign, Text};

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(in crate::profile) struct RawSubscriber {
    pub write: Vec<Spanned<RawPinWrite>>,
    pub read: Vec<Spanned<RawPinRead>>,
    pub token: Option<RawTokenGrant>,
    pub own_page: Option<Spanned<RawOwnPage>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::profile) struct RawPinWrite {
    pub method: Option<Text>,
    pub path: Text,
    pub form: Option<BTreeMap<String, Text>>,
    pub json: Option<Spanned<serde_json::Value>>,
    #[serde(default)]
    pub done: Vec<Spanned<RawSign>>,
    #[serde(default)]
    pub later: Vec<Spanned<RawSign>>,
    #[serde(default)]
    pub refused: Vec<Spanned<RawSign>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::profile) struct RawPinRead {
    pub method: Option<Text>,
    pub path: Text,
    pub form: Option<BTreeMap<String, Text>>,
    pub json: Option<Spanned<serde_json::Value>>,
    pub pin: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::profile) struct RawTokenGrant {
    pub path: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::profile) struct RawOwnPage {
    pub path: Text,
    pub fields: Vec<String>,
    #[serde(default)]
    pub done: Vec<Spanned<RawSign>>,
    #[serde(default)]
    pub later: Vec<Spanned<RawSign>>,
    #[serde(default)]
    pub refused: Vec<Spanned<RawSign>>,
}
