//! What makes a session a family of tokens, as it lies in the session's row: sealed, because it
//! holds the PBX's tokens and the application's secret.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::{Zeroize, Zeroizing};

use super::{from_micros, hex, to_micros, unreadable};
use crate::domain::api_client::ClientCredentials;
use crate::domain::grant::{Grant, GrantKind, PbxAccess};
use crate::domain::secret::Secret;
use crate::domain::session::SessionId;
use crate::ports::{Unavailable, Vault};

/// What was sealed.
pub(super) type Opened = (Box<Grant>, Arc<PbxAccess>);

/// As it is sealed.
#[derive(Serialize, Deserialize)]
struct Stored {
    endpoint: String,
    client: Option<(String, String)>,
    authorization: String,
    refresh: Option<String>,
    access_until: Option<i64>,
    fields: Map<String, Value>,
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.authorization.zeroize();
        self.refresh.zeroize();
        if let Some((_, secret)) = &mut self.client {
            secret.zeroize();
        }
    }
}

/// The grant and the access, sealed for their session.
pub(super) fn seal(
    vault: &dyn Vault,
    id: &SessionId,
    grant: &Grant,
    access: &PbxAccess,
) -> Result<Vec<u8>, Unavailable> {
    let client = grant.client.as_ref();
    let stored = Stored {
        endpoint: grant.endpoint.clone(),
        client: client.map(|client| (client.id.clone(), client.secret.expose().to_owned())),
        authorization: access.authorization.expose().to_owned(),
        refresh: access.refresh.as_ref().map(|refresh| refresh.expose().to_owned()),
        access_until: access.expires_at.map(to_micros),
        fields: access.fields.clone(),
    };
    let plain = serde_json::to_vec(&stored).map_err(|error| Unavailable::new("store", error))?;
    Ok(vault.seal(&purpose(id), &Zeroizing::new(plain)))
}

/// What [`seal`] made.
pub(super) fn open(
    vault: &dyn Vault,
    id: &SessionId,
    kind: &str,
    expires_at: Timestamp,
    sealed: &[u8],
) -> Result<Opened, Unavailable> {
    let plain =
        vault.open(&purpose(id), sealed).map_err(|error| Unavailable::new("vault", error))?;
    let stored: Stored = serde_json::from_slice(&plain).map_err(|_| unreadable("a grant"))?;
    let client = stored.client.as_ref().map(|(id, secret)| ClientCredentials {
        id: id.clone(),
        secret: Secret::new(secret.as_str()),
    });
    let grant =
        Grant { kind: kind_of(kind)?, endpoint: stored.endpoint.clone(), client, expires_at };
    let access = PbxAccess {
        authorization: Secret::new(stored.authorization.as_str()),
        refresh: stored.refresh.as_deref().map(Secret::new),
        expires_at: stored.access_until.map(from_micros).transpose()?,
        fields: stored.fields.clone(),
    };
    Ok((Box::new(grant), Arc::new(access)))
}

fn kind_of(name: &str) -> Result<GrantKind, Unavailable> {
    [GrantKind::Jwt, GrantKind::Pass, GrantKind::Basic]
        .into_iter()
        .find(|kind| kind.name() == name)
        .ok_or_else(|| unreadable("a grant"))
}

/// Binds it to its session: a row cannot be given another session's tokens.
fn purpose(id: &SessionId) -> String {
    format!("grant:{}", hex(&id.0))
}
