//! Stands where an adapter is still being built.

use std::net::IpAddr;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;

use crate::domain::access_token::{AccessClaims, BadToken};
use crate::domain::grant::TokenHash;
use crate::domain::login_name::LoginName;
use crate::domain::secret::Secret;
use crate::domain::session::SessionId;
use crate::ports::{
    NotedToken, PbxTokenAnswer, PbxTokenRequest, Rotated, Rotation, TokenIssuer, TokenSigner,
    TokenStore, Unavailable,
};

/// Answers nothing.
pub struct Unbuilt;

fn unbuilt() -> Unavailable {
    Unavailable::new("store", "not built yet")
}

#[async_trait]
impl TokenIssuer for Unbuilt {
    async fn ask(&self, _: PbxTokenRequest<'_>) -> Result<PbxTokenAnswer, Unavailable> {
        Err(unbuilt())
    }
    async fn owner(
        &self,
        _: &Secret,
        _: &str,
        _: IpAddr,
        _: &str,
    ) -> Result<Option<LoginName>, Unavailable> {
        Err(unbuilt())
    }
    fn knows_owners(&self) -> bool {
        false
    }
    async fn forget(&self, _: &str, _: &Secret, _: usize) {}
}

#[async_trait]
impl TokenStore for Unbuilt {
    async fn note(&self, _: &[NotedToken], _: &[TokenHash]) -> Result<bool, Unavailable> {
        Err(unbuilt())
    }
    async fn find(&self, _: &TokenHash) -> Result<Option<NotedToken>, Unavailable> {
        Err(unbuilt())
    }
    async fn begin_chain(&self, _: &SessionId, _: TokenHash) -> Result<bool, Unavailable> {
        Err(unbuilt())
    }
    async fn rotate(&self, _: &Rotation) -> Result<Rotated, Unavailable> {
        Err(unbuilt())
    }
    async fn purge(&self, _: Timestamp) -> Result<(), Unavailable> {
        Ok(())
    }
}

impl TokenSigner for Unbuilt {
    fn sign(&self, _: &AccessClaims) -> String {
        String::new()
    }
    fn verify(&self, _: &str, _: Timestamp) -> Result<AccessClaims, BadToken> {
        Err(BadToken::Foreign)
    }
    fn looks_own(&self, _: &str) -> bool {
        false
    }
    fn jwks(&self, _: Timestamp) -> Value {
        Value::Null
    }
}
