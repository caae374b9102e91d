//! The PBX's records of its users, through its API or with a user's own session.

use async_trait::async_trait;

use crate::domain::login_name::LoginName;
use crate::domain::secret::Secret;
use crate::ports::{OwnSession, PinWriting, PinWritten, Subscribers, Unavailable};

/// A PBX whose profile knows no way to read or write a PIN.
#[derive(Debug, Clone, Copy)]
pub struct NoSubscribers;

#[async_trait]
impl Subscribers for NoSubscribers {
    fn writing(&self) -> PinWriting {
        PinWriting::Impossible
    }

    fn reading(&self) -> bool {
        false
    }

    async fn write_pin(
        &self,
        _login: &LoginName,
        _pin: &Secret,
        _own: Option<OwnSession<'_>>,
    ) -> PinWritten {
        PinWritten::NotAsked(Unavailable::new("pbx", "the profile knows no way to write a PIN"))
    }

    async fn read_pin(&self, _login: &LoginName) -> Result<Option<Secret>, Unavailable> {
        Err(Unavailable::new("pbx", "the profile knows no way to read a PIN"))
    }

    async fn ping(&self) -> Result<(), Unavailable> {
        Ok(())
    }
}
