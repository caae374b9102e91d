//! A gateway that sends mails, and somebody to send them to.

use super::{Gateway, Pbx, Settings, Smtp, alice};

/// Alice was imported, with an address; her PIN is known to the PBX only. It is the warn phase.
pub struct Mailed {
    pub smtp: Smtp,
    pub gateway: Gateway,
    // Ends with the test.
    _pbx: Pbx,
}

impl Mailed {
    /// Alice's address.
    pub const ADDRESS: &str = "alice@corp.example";

    /// With the defaults.
    pub async fn new() -> Self {
        Self::with("").await
    }

    /// With further sections of the configuration.
    pub async fn with(more: &str) -> Self {
        let (pbx, smtp) = (Pbx::start().await, Smtp::start().await);
        let settings = Settings::with_mail("warn", &smtp);
        let more = format!("{more}{}", settings.more);
        let gateway = Gateway::with(&pbx, Settings { more, ..settings }).await;
        gateway.put_on_file(&alice().login, Self::ADDRESS).await;
        Self { smtp, gateway, _pbx: pbx }
    }
}
