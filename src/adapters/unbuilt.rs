//! Stands where an adapter is still being built.

use std::net::IpAddr;

use async_trait::async_trait;

use crate::domain::login_name::LoginName;
use crate::domain::secret::Secret;
use crate::ports::{PbxTokenAnswer, PbxTokenRequest, TokenIssuer, Unavailable};

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
