//! Handing mails over to an SMTP server: the operator's relay, which signs and delivers them.
//!
//! What an error means is decided by where it happens. Up to the login nothing was said about a
//! mail: an outage, whatever the answer was. From `MAIL FROM` on, 4xx is "later" and 5xx "never".
//! No answer to `MAIL FROM` still is an outage; to anything after it, "later".
//! When the connection is lost after the message and before the answer, nobody can know whether
//! the server has it: it is sent again, under the same `Message-ID`, and the receiver may see it
//! twice. Losing it would be worse.

mod connection;
mod message;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{self, Rset};
use lettre::transport::smtp::extension::{Extension, MailBodyParameter, MailParameter};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::domain::secret::Secret;
use crate::ports::{Mail, MailTransport, SendError};
use connection::Dialer;
use message::Message;

/// A connection without work is closed after this time.
const IDLE: Duration = Duration::from_secs(20);
/// Many servers count the mails of a connection and end it in the middle of the next.
const MAILS_PER_CONNECTION: u32 = 50;
/// How long it may take to confirm that an idle connection still works.
const STILL_THERE: Duration = Duration::from_secs(5);

/// Where the mail server is and how it is spoken to.
#[derive(Debug, Clone)]
pub struct SmtpSettings {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// How the connection is protected.
    pub protection: Protection,
    /// The authorities to trust instead of the public ones, as PEM.
    pub ca_pem: Option<Vec<u8>>,
    /// Login name and password there.
    pub login: Option<(String, Secret)>,
    /// The public host name: who we say that we are, and the right side of each `Message-ID`.
    pub own_host: String,
    /// How long the server may take to answer one command; usually [`ANSWER_WITHIN`].
    pub answer_within: Duration,
    /// Connections at a time.
    pub connections: usize,
}

/// Patience for the answer to one command.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// Not at all: for a server on this machine or in a network of its own.
    None,
    /// From `STARTTLS` on, which must succeed.
    StartTls,
    /// From the first byte.
    Tls,
}

/// A mail server.
pub struct SmtpTransport {
    dialer: Dialer,
    own_host: String,
    answer_within: Duration,
    parked: Arc<Parked>,
    permits: Semaphore,
    /// Held by the one that dials; the last failure.
    dialing: tokio::sync::Mutex<Option<Failure>>,
}

/// A connection that could not be made.
struct Failure {
    at: Instant,
    why: String,
}

impl SmtpTransport {
    /// Prepares; nothing is connected yet.
    ///
    /// # Errors
    /// When the authorities cannot be read.
    pub fn new(settings: SmtpSettings) -> Result<Self, String> {
        let (own_host, answer_within) = (settings.own_host.clone(), settings.answer_within);
        let permits = Semaphore::new(settings.connections);
        Ok(Self {
            dialer: Dialer::new(settings)?,
            own_host,
            answer_within,
            parked: Arc::default(),
            permits,
            dialing: tokio::sync::Mutex::default(),
        })
    }

    /// A connection that is logged in and between two mails. One at a time dials: what it finds out
    /// holds for those that waited, and a server that is down is asked once.
    async fn connection(&self) -> Result<Connection, SendError> {
        let began = Instant::now();
        if let Some(parked) = self.parked_connection().await {
            return Ok(parked);
        }
        let mut failure = self.dialing.lock().await;
        if let Some(Failure { why, .. }) = failure.as_ref().filter(|last| last.at >= began) {
            return Err(SendError::Outage(why.clone()));
        }
        if let Some(parked) = self.parked_connection().await {
            return Ok(parked);
        }
        match self.dialer.dial().await {
            Ok(smtp) => Ok(Connection { smtp, mails: 0, since: Instant::now() }),
            Err(why) => {
                *failure = Some(Failure { at: Instant::now(), why: why.clone() });
                Err(SendError::Outage(why))
            }
        }
    }

    /// One without work that still works.
    async fn parked_connection(&self) -> Option<Connection> {
        while let Some(mut parked) = self.parked.take() {
            let answer = tokio::time::timeout(STILL_THERE, parked.smtp.command(Rset)).await;
            if matches!(answer, Ok(Ok(_))) {
                return Some(parked);
            }
        }
        None
    }
}

#[async_trait]
impl MailTransport for SmtpTransport {
    async fn send(&self, mail: &Mail) -> Result<(), SendError> {
        let message = message::write(mail, &self.own_host).map_err(SendError::Never)?;
        let _permit = self.permits.acquire().await;
        let mut connection = self.connection().await?;
        match hand_over(&mut connection.smtp, &message, self.answer_within).await {
            Ok(()) => {
                connection.mails += 1;
                self.parked.park(connection);
                Ok(())
            }
            Err(error) => {
                say_goodbye(connection);
                Err(without_codes(error, &mail.text))
            }
        }
    }

    async fn ping(&self) -> Result<(), SendError> {
        say_goodbye(self.connection().await?);
        Ok(())
    }
}

/// One mail, from `MAIL FROM` to the answer to its last line.
async fn hand_over(
    smtp: &mut AsyncSmtpConnection,
    message: &Message,
    patience: Duration,
) -> Result<(), SendError> {
    let mut parameters = Vec::new();
    if !message.is_ascii() {
        // RFC 6531: an address outside of ASCII can be handed to a server only that knows them.
        if !smtp.server_info().supports_feature(Extension::SmtpUtfEight) {
            let why = "the mail server does not know addresses outside of ASCII (SMTPUTF8)";
            return Err(SendError::Never(why.to_owned()));
        }
        parameters.push(MailParameter::SmtpUtfEight);
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    let sender = commands::Mail::new(Some(message.from.clone()), parameters);
    let recipient = commands::Rcpt::new(message.to.clone(), Vec::new());
    step(BEGIN, patience, smtp.command(sender)).await?;
    step(RECIPIENT, patience, smtp.command(recipient)).await?;
    step("DATA", patience, smtp.command(commands::Data)).await?;
    step("the message", patience, smtp.message(&message.bytes)).await
}

const BEGIN: &str = "MAIL FROM";
const RECIPIENT: &str = "RCPT TO";

/// What a server says of an address that nobody has (RFC 3463, RFC 7505): no such mailbox, moved
/// away, a domain that takes no mail. A bare 550 may be a matter of policy, and so may 5.7.x; 5.2.x
/// is a mailbox that exists; 5.1.2 a name that the server may not have found today only.
const NO_SUCH_ADDRESS: [&str; 3] = ["5.1.1", "5.1.6", "5.1.10"];

async fn step<T>(
    what: &str,
    patience: Duration,
    asked: impl Future<Output = Result<T, lettre::transport::smtp::Error>>,
) -> Result<(), SendError> {
    let silence = if what == BEGIN { SendError::Outage } else { SendError::Later };
    let Ok(answer) = tokio::time::timeout(patience, asked).await else {
        return Err(silence(format!("no answer to {what} within {patience:?}")));
    };
    let Err(error) = answer else { return Ok(()) };
    let why = match error.status() {
        Some(code) => format!("the answer to {what} was {code}{}", said(&error)),
        None => format!("no answer to {what}{}", said(&error)),
    };
    Err(match error.status().map(u16::from) {
        // RFC 4954: it wants a login, or a better protected one. Before a recipient was named that
        // holds for every mail; afterwards perhaps for recipients elsewhere only, and the mails to
        // all others must not wait for them.
        Some(530 | 534 | 535 | 538) if what == BEGIN => SendError::Outage(why),
        Some(530 | 534 | 535 | 538) => SendError::Later(why),
        Some(_) if what == RECIPIENT && is_no_such_address(&error) => SendError::NoSuchAddress(why),
        Some(_) if error.is_permanent() => SendError::Never(why),
        Some(_) => SendError::Later(why),
        None => silence(why),
    })
}

fn is_no_such_address(error: &lettre::transport::smtp::Error) -> bool {
    let words = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    let enhanced = words.split(|c: char| c.is_whitespace() || c == ':').next().unwrap_or_default();
    error.is_permanent() && NO_SUCH_ADDRESS.contains(&enhanced)
}

/// What the server or the network gave as the reason, on one line.
fn said(error: &lettre::transport::smtp::Error) -> String {
    const LONGEST: usize = 300;
    let Some(source) = std::error::Error::source(error) else { return String::new() };
    let text: String = source
        .to_string()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(LONGEST)
        .collect();
    if text.trim().is_empty() { String::new() } else { format!(": {}", text.trim()) }
}

/// A server that does not like a link may quote it, and the reason of a failure is kept and shown.
fn without_codes(error: SendError, text: &str) -> SendError {
    let codes: Vec<&str> = text
        .split("code=")
        .skip(1)
        .map(|rest| rest.split(|c: char| c.is_whitespace()).next().unwrap_or_default())
        .filter(|code| !code.is_empty())
        .collect();
    let clean = |why: String| codes.iter().fold(why, |why, code| why.replace(code, "…"));
    match error {
        SendError::Outage(why) => SendError::Outage(clean(why)),
        SendError::Later(why) => SendError::Later(clean(why)),
        SendError::Never(why) => SendError::Never(clean(why)),
        SendError::NoSuchAddress(why) => SendError::NoSuchAddress(clean(why)),
    }
}

struct Connection {
    smtp: AsyncSmtpConnection,
    mails: u32,
    since: Instant,
}

/// Says `QUIT`, for which nobody waits.
fn say_goodbye(mut connection: Connection) {
    tokio::spawn(async move {
        // Whatever becomes of it: the connection ends here.
        let _ = tokio::time::timeout(STILL_THERE, connection.smtp.abort()).await;
    });
}

/// Connections without work.
#[derive(Default)]
struct Parked {
    connections: Mutex<Vec<Connection>>,
    watched: AtomicBool,
}

impl Parked {
    /// The one that was used last.
    fn take(&self) -> Option<Connection> {
        self.connections.lock().pop()
    }

    fn park(self: &Arc<Self>, mut connection: Connection) {
        if connection.mails >= MAILS_PER_CONNECTION {
            return say_goodbye(connection);
        }
        connection.since = Instant::now();
        self.connections.lock().push(connection);
        if !self.watched.swap(true, Ordering::AcqRel) {
            tokio::spawn(Arc::clone(self).close_idle());
        }
    }

    /// Ends with the last connection, so that nothing runs while no mails go out.
    async fn close_idle(self: Arc<Self>) {
        loop {
            tokio::time::sleep(IDLE / 4).await;
            let mut connections = self.connections.lock();
            let (idle, busy) =
                connections.drain(..).partition(|c: &Connection| c.since.elapsed() > IDLE);
            *connections = busy;
            idle.into_iter().for_each(say_goodbye);
            if connections.is_empty() {
                // Under the lock: who parks next sees it and starts anew.
                self.watched.store(false, Ordering::Release);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reason for a failure is kept and shown to administrators: no link that works may be in it.
    #[test]
    fn a_quoted_link_loses_its_code() {
        let text = "Open\nhttps://p.example/account/reset?code=Zm9vYmFy\nwithin 1 hour.";
        let error = SendError::Never("554 bad URL https://p.example/?code=Zm9vYmFy, go".into());
        let SendError::Never(why) = without_codes(error, text) else { panic!() };
        assert_eq!(why, "554 bad URL https://p.example/?code=…, go");
    }
}
