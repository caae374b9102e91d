//! The profile file as it is written, before it is checked.

mod redaction;
mod subscriber;
mod token;

use serde::Deserialize;
use toml::Spanned;

pub(super) use redaction::RawRedaction;
pub(super) use subscriber::{RawOwnPage, RawPinRead, RawPinWrite, RawSubscriber};
pub(super) use token::{RawToken, RawTokenBody, RawWhoAmI};

use super::exposure::TokenMode;

/// A text with its place in the file, for problems.
pub(super) type Text = Spanned<String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawProfile {
    pub name: String,
    #[serde(default = "digits")]
    pub legacy_secret: Text,
    pub login_name: RawLoginName,
    pub login: Vec<Spanned<RawLogin>>,
    pub session: RawSession,
    #[serde(default)]
    pub exposure: RawExposure,
    #[serde(default)]
    pub token: Vec<RawToken>,
    #[serde(default)]
    pub whoami: Vec<Spanned<RawWhoAmI>>,
    #[serde(default)]
    pub credentials: RawCredentials,
    pub pages: RawPages,
    #[serde(default)]
    pub subscriber: RawSubscriber,
    #[serde(default)]
    pub redact: Vec<Spanned<RawRedaction>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLoginName {
    pub patterns: Vec<Text>,
    pub tenant_from_host: Option<Text>,
    #[serde(default = "extension_at_tenant")]
    pub upstream: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLogin {
    pub name: String,
    pub page: Text,
    pub paths: Vec<Text>,
    #[serde(default = "post")]
    pub methods: Vec<Text>,
    pub user: Text,
    pub secret: Text,
    pub tenant: Option<Text>,
    #[serde(default)]
    pub carried: Vec<String>,
    #[serde(default)]
    pub fixed: std::collections::BTreeMap<String, String>,
    #[serde(default = "all_hidden")]
    pub hidden: Spanned<RawHidden>,
    pub csrf: Option<Spanned<RawCsrf>>,
    pub judge: Vec<Spanned<RawRule>>,
    #[serde(default)]
    pub answers: RawAnswers,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum RawHidden {
    Word(String),
    Named(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCsrf {
    pub meta: Option<String>,
    pub cookie: Option<String>,
    pub header: String,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawJudgement {
    Accepted,
    Refused,
    Challenge,
    TokenError,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRule {
    pub answer: RawJudgement,
    #[serde(default)]
    pub status: Vec<u16>,
    pub location: Option<Text>,
    #[serde(default)]
    pub cookie_set: Vec<String>,
    #[serde(default)]
    pub cookie_changed: Vec<String>,
    pub body: Option<Text>,
    #[serde(default)]
    pub json: Vec<RawJson>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawJson {
    pub pointer: Text,
    pub equals: Option<serde_json::Value>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAnswers {
    pub refused: Option<RawAnswer>,
    pub locked: Option<RawAnswer>,
    pub set_password: Option<RawAnswer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAnswer {
    pub status: Spanned<u16>,
    pub content_type: String,
    pub body: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSession {
    pub cookies: Spanned<Vec<String>>,
    #[serde(default)]
    pub dropped_cookies: Vec<String>,
    pub sign_out: Spanned<Vec<Text>>,
    #[serde(default)]
    pub sign_out_by_script: Vec<Text>,
    #[serde(default = "get_and_post")]
    pub sign_out_methods: Vec<Text>,
    #[serde(default)]
    pub background: Vec<Text>,
    #[serde(default)]
    pub expired: Vec<Spanned<RawSign>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSign {
    #[serde(default)]
    pub status: Vec<u16>,
    pub location: Option<Text>,
    pub body: Option<Text>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawExposure {
    pub guard: Vec<Text>,
    pub denied: Vec<Text>,
    pub challenge: Vec<Text>,
    pub public: Vec<Text>,
    pub pre_login: Vec<Text>,
    pub api: Vec<Text>,
    pub websocket: Vec<Text>,
    pub token_mode: TokenMode,
    pub cors: Option<RawCors>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCors {
    pub origins: Vec<Text>,
    #[serde(default)]
    pub methods: Vec<Text>,
    #[serde(default)]
    pub headers: Vec<Text>,
    #[serde(default)]
    pub max_age: u32,
    #[serde(default)]
    pub credentials: bool,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawCredentials {
    pub fields: Vec<String>,
    pub query_fields: Vec<String>,
    pub exempt: Vec<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPages {
    pub home: Text,
    pub login: Spanned<Vec<Text>>,
    #[serde(default = "form")]
    pub login_links: Text,
    #[serde(default = "form")]
    pub login_message: Text,
    pub username_input: Text,
    #[serde(default = "body")]
    pub notice: Text,
    pub security_link: Option<Text>,
}

fn all_hidden() -> Spanned<RawHidden> {
    Spanned::new(0..0, RawHidden::Word("all".to_owned()))
}

fn unplaced(text: &str) -> Text {
    Spanned::new(0..0, text.to_owned())
}

fn digits() -> Text {
    unplaced("^[0-9]+$")
}

fn extension_at_tenant() -> Text {
    unplaced("{extension}@{tenant}")
}

fn post() -> Vec<Text> {
    vec![unplaced("POST")]
}

fn get_and_post() -> Vec<Text> {
    vec![unplaced("GET"), unplaced("POST")]
}

fn form() -> Text {
    unplaced("form")
}

fn body() -> Text {
    unplaced("body")
}
