//! The mails of the demo: they go to a page, not to a mail server.

use async_trait::async_trait;

use crate::demo::mailbox::{DemoMail, Mailbox};
use crate::ports::{Mail, MailTransport, SendError};

/// Puts each mail into the mailbox that the start page shows.
pub(super) struct IntoMailbox(pub Mailbox);

#[async_trait]
impl MailTransport for IntoMailbox {
    async fn send(&self, mail: &Mail) -> Result<(), SendError> {
        self.0.deliver(DemoMail {
            from: mail.from.clone(),
            to: mail.to.clone(),
            subject: mail.subject.clone(),
            text: mail.text.clone(),
            html: Some(mail.html.clone()),
            at: mail.date,
        });
        Ok(())
    }

    async fn ping(&self) -> Result<(), SendError> {
        Ok(())
    }
}
