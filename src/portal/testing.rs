//! What the tests of this room, and of others, share.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tracing::Dispatch;
use tracing::subscriber::DefaultGuard;

use crate::domain::login_name::LoginName;
use crate::domain::secret::Secret;
use crate::ports::{
    OwnSession, PbxTokenAnswer, PbxTokenRequest, PinWriting, PinWritten, Subscribers, TokenIssuer,
    Unavailable,
};

/// Everything that this thread logs, down to `trace`, as long as it lives.
pub(super) struct Log {
    written: Written,
    _guard: DefaultGuard,
    /// With a single subscriber in the process, a message whose first writer is another thread
    /// (of another test, without a subscriber) would be switched off for all.
    _second: Dispatch,
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(super) fn start() -> Self {
        let second = Dispatch::new(tracing_subscriber::registry());
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || writer.clone())
            .finish();
        let guard = tracing::subscriber::set_default(subscriber);
        Self { written, _guard: guard, _second: second }
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.written.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A PBX that lets nobody read or write a PIN.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoSubscribers;

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

/// A PBX that gives nobody a token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoTokens;

#[async_trait]
impl TokenIssuer for NoTokens {
    async fn ask(&self, _: PbxTokenRequest<'_>) -> Result<PbxTokenAnswer, Unavailable> {
        Err(Unavailable::new("pbx", "nobody asks for tokens here"))
    }

    async fn owner(
        &self,
        _: &Secret,
        _: &str,
        _: IpAddr,
        _: &str,
    ) -> Result<Option<LoginName>, Unavailable> {
        Err(Unavailable::new("pbx", "the profile does not say how owners are asked for"))
    }

    fn knows_owners(&self) -> bool {
        false
    }

    async fn forget(&self, _: &str, _: &Secret, _: usize) {}
}
