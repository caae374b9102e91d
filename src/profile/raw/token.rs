//! `[[token]]` and `[[whoami]]` as they are written.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::{RawJson, RawSign, Text, post, unplaced};
use crate::profile::token::Grant;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::profile) struct RawToken {
    pub name: Text,
    pub paths: Vec<Text>,
    #[serde(default = "post")]
    pub methods: Vec<Text>,
    #[serde(default)]
    pub revoke_methods: Vec<Text>,
    #[serde(default)]
    pub body: RawTokenBody,
    #[serde(default)]
    pub client_in_basic: bool,
    #[serde(default)]
    pub fields: RawTokenFields,
    #[serde(default = "password_and_refresh")]
    pub grants: Vec<Grant>,
    pub default_grant: Option<Spanned<Grant>>,
    #[serde(default)]
    pub carried: Vec<Text>,
    #[serde(default = "access_token")]
    pub access: Text,
    #[serde(default = "refresh_token")]
    pub refresh: Text,
    #[serde(default = "expires_in")]
    pub expires_in: Text,
    pub owner_user: Option<Text>,
    pub owner_tenant: Option<Text>,
    pub owner_login: Option<Text>,
    #[serde(default)]
    pub challenge: Vec<RawJson>,
    #[serde(default)]
    pub refused: Vec<Spanned<RawSign>>,
}

#[derive(Deserialize, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(in crate::profile) enum RawTokenBody {
    #[default]
    Form,
    Json,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(in crate::profile) struct RawTokenFields {
    pub grant_type: Option<Text>,
    pub client_id: Option<Text>,
    pub client_secret: Option<Text>,
    pub username: Option<Text>,
    pub password: Option<Text>,
    pub refresh_token: Option<Text>,
    pub tenant: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::profile) struct RawWhoAmI {
    pub method: Option<Text>,
    pub path: Text,
    pub form: Option<BTreeMap<String, Text>>,
    pub json: Option<Spanned<serde_json::Value>>,
    pub user: Option<Text>,
    pub tenant: Option<Text>,
    pub login: Option<Text>,
}

fn password_and_refresh() -> Vec<Grant> {
    vec![Grant::Password, Grant::RefreshToken]
}

fn access_token() -> Text {
    unplaced("/access_token")
}

fn refresh_token() -> Text {
    unplaced("/refresh_token")
}

fn expires_in() -> Text {
    unplaced("/expires_in")
}
