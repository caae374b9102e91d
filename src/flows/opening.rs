//! Opening a session: the one place where a session token is made.

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Services;
use crate::domain::account::Account;
use crate::domain::login_name::LoginName;
use crate::domain::session::{
    LiveSession, ObtainedWith, Progress, SessionRecord, SessionToken, Standing,
};
use crate::ports::{PortalSession, Unavailable};

/// A session that was just opened, with what the browser must be given.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The value for the session cookie.
    pub token: SessionToken,
    /// The session.
    pub session: Arc<LiveSession>,
    /// The value for the device cookie, sealed: this browser signed in to this account. None for
    /// an initial password.
    pub device: Option<String>,
    /// What the session may reach now.
    pub standing: Standing,
    /// Where the PBX sent its own login, as a path of this origin.
    pub landing: Option<String>,
}

/// How and from where a session is opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening<'a> {
    pub obtained_with: ObtainedWith,
    pub progress: Progress,
    pub client: IpAddr,
    pub user_agent: &'a str,
}

/// What a device cookie says.
struct Device {
    id: String,
    /// [`Account::epoch`] of then.
    epoch: u64,
    owner: String,
}

impl Services {
    /// Opens a session of `account` on a PBX session.
    pub(super) async fn open_session(
        &self,
        account: &Account,
        pbx: PortalSession,
        how: Opening<'_>,
    ) -> Result<Opened, Unavailable> {
        let token = SessionToken(self.random.bytes());
        let now = self.clock.now();
        let mut user_agent = how.user_agent.to_owned();
        user_agent.truncate(user_agent.floor_char_boundary(512));
        let record = SessionRecord {
            id: token.id(),
            account: account.id,
            login: account.login.clone(),
            obtained_with: how.obtained_with,
            progress: how.progress,
            epoch: account.epoch,
            created_at: now,
            last_seen: now,
            jar: pbx.jar,
            jar_generation: 0,
            server: pbx.server,
            user_agent,
            client: how.client,
            grant: None,
            access: None,
        };
        let session = self.sessions.open(record).await?;
        let phase = self.policies.rollout.phase(account.login.tenant(), now);
        let standing = session.standing(&self.policies.session, phase, now);
        // An initial password is void without the epoch moving on, and with it the counters that
        // its holder gathered would not be.
        let known = how.obtained_with != ObtainedWith::InitialPassword;
        Ok(Opened {
            token,
            session,
            device: known.then(|| self.device_cookie(account)),
            standing,
            landing: pbx.landing,
        })
    }

    /// A fresh device cookie for `account`. It holds until the credential changes: whoever knew
    /// only the PIN, or a former password, must not have gathered counters for guessing the next.
    fn device_cookie(&self, account: &Account) -> String {
        let device = URL_SAFE_NO_PAD.encode(self.random.bytes::<12>());
        let plain = format!("{device} {} {}", account.epoch, account.login);
        URL_SAFE_NO_PAD.encode(self.vault.seal("device", plain.as_bytes()))
    }

    /// The device id in a cookie value, if the cookie is ours and was given to this login name
    /// under its present credential.
    pub(super) async fn device_of(
        &self,
        cookie: &str,
        login: &LoginName,
    ) -> Result<Option<String>, Unavailable> {
        let Some(device) =
            self.open_device(cookie).filter(|device| device.owner == login.to_string())
        else {
            return Ok(None);
        };
        let account = self.accounts.find(login).await?;
        Ok(account.filter(|account| account.epoch == device.epoch).map(|_| device.id))
    }

    /// The account that last signed in in the browser with this device cookie, if its credential
    /// is still the one of then.
    pub(super) async fn account_of_device(
        &self,
        cookie: &str,
    ) -> Result<Option<Account>, Unavailable> {
        let Some(device) = self.open_device(cookie) else { return Ok(None) };
        let Ok(owner) = LoginName::parse(&device.owner) else { return Ok(None) };
        let account = self.accounts.find(&owner).await?;
        Ok(account.filter(|account| account.epoch == device.epoch))
    }

    fn open_device(&self, cookie: &str) -> Option<Device> {
        let sealed = URL_SAFE_NO_PAD.decode(cookie).ok()?;
        let plain = self.vault.open("device", &sealed).ok()?;
        let mut parts = std::str::from_utf8(&plain).ok()?.splitn(3, ' ');
        Some(Device {
            id: parts.next()?.to_owned(),
            epoch: parts.next()?.parse().ok()?,
            owner: parts.next()?.to_owned(),
        })
    }
}
