//! What Passgate puts into the portal's own pages: the notice of the warn phase (R-A2) and the
//! message on the login page (R-C1). Each is one element that works under the strictest
//! Content-Security-Policy: no script, no inline style. A style sheet of ours makes it pretty; a
//! policy that blocks it leaves a plain, readable, centred table.

use std::time::Duration;

use super::look::{Look, escape};
use super::texts::interpolate;
use super::{PagesSettings, minutes};

/// Something that a page says about what was done before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// Login name or secret is wrong.
    Refused,
    /// Too many attempts; this long to wait.
    Locked {
        /// Until the next attempt is possible.
        wait: Duration,
    },
    /// The PIN is right, but no longer opens the portal.
    TooLate,
    /// The user signed out.
    SignedOut,
    /// The session ended by itself.
    SessionEnded,
    /// The form was sent from a page that was open too long.
    Stale,
    /// The first portal password was saved.
    PasswordSet,
    /// Another portal password was saved.
    PasswordChanged,
    /// Somebody else changed the password meanwhile.
    Overtaken,
}

impl Message {
    /// Good or neutral news (`role="status"`), or something to mend (`role="alert"`).
    pub fn is_good(self) -> bool {
        matches!(self, Self::SignedOut | Self::PasswordSet | Self::PasswordChanged)
    }

    /// The form in which a flash carries it.
    pub(super) fn spelled(self) -> String {
        match self {
            Self::Refused => "refused".into(),
            Self::Locked { wait } => format!("locked {}", wait.as_secs()),
            Self::TooLate => "too_late".into(),
            Self::SignedOut => "signed_out".into(),
            Self::SessionEnded => "session_ended".into(),
            Self::Stale => "stale".into(),
            Self::PasswordSet => "password_set".into(),
            Self::PasswordChanged => "password_changed".into(),
            Self::Overtaken => "overtaken".into(),
        }
    }

    /// Reads what [`Self::spelled`] wrote.
    pub(super) fn read(text: &str) -> Option<Self> {
        if let Some(seconds) = text.strip_prefix("locked ") {
            return Some(Self::Locked { wait: Duration::from_secs(seconds.parse().ok()?) });
        }
        [
            Self::Refused,
            Self::TooLate,
            Self::SignedOut,
            Self::SessionEnded,
            Self::Stale,
            Self::PasswordSet,
            Self::PasswordChanged,
            Self::Overtaken,
        ]
        .into_iter()
        .find(|message| message.spelled() == text)
    }
}

/// Makes the elements, in the words and with the links of one configuration.
pub struct Notices {
    look: Look,
}

impl Notices {
    /// Reads texts and addresses once.
    pub fn new(settings: &PagesSettings) -> Self {
        Self { look: Look::new(settings) }
    }

    /// The notice of the warn phase: `id="passgate-notice"`, `role="status"`. `days_left` until
    /// the PIN stops opening the portal; `None` when no date is set.
    pub fn notice_html(&self, days_left: Option<u32>) -> String {
        let texts = self.look.texts();
        let text = match days_left {
            Some(days) => {
                let days = format!("<b>{}</b>", escape(&texts.count("days", days.into())));
                interpolate(&escape(texts.get("notice.text")), &[("days", &days)])
            }
            None => escape(texts.get("notice.text_without_date")),
        };
        let link = self.look.page("security");
        format!(
            "<div id=\"passgate-notice\" role=\"status\" align=\"center\">{}\
             <table align=\"center\" width=\"100%\" cellpadding=\"10\" cellspacing=\"0\" border=\"0\" \
             bgcolor=\"#fff3c4\" role=\"presentation\"><tr><td align=\"center\">\
             <font color=\"#3d2e00\" face=\"system-ui, sans-serif\">{text} \
             <a href=\"{}\"><font color=\"#3d2e00\"><b>{}</b></font></a></font>\
             </td></tr></table></div>",
            self.style_sheet(),
            escape(&link),
            escape(texts.get("notice.link")),
        )
    }

    /// A message above the portal's login form, or above the page after a password was set:
    /// `id="passgate-message"`, with `role="alert"` or, for good news, `role="status"`.
    pub fn message_html(&self, message: Message) -> String {
        let (role, background, ink) = match message.is_good() {
            true => ("status", "#dff5e3", "#0b3d1c"),
            false => ("alert", "#fde7e6", "#5c0f0b"),
        };
        format!(
            "<div id=\"passgate-message\" class=\"{role}\" role=\"{role}\" align=\"center\">{}\
             <table align=\"center\" width=\"100%\" cellpadding=\"10\" cellspacing=\"0\" border=\"0\" \
             bgcolor=\"{background}\" role=\"presentation\"><tr><td align=\"center\">\
             <font color=\"{ink}\" face=\"system-ui, sans-serif\">{}</font>\
             </td></tr></table></div>",
            self.style_sheet(),
            escape(&self.message_text(message)),
        )
    }

    /// The words of a message, as plain text.
    pub fn message_text(&self, message: Message) -> String {
        self.look.message_text(message)
    }

    fn style_sheet(&self) -> String {
        format!("<link rel=\"stylesheet\" href=\"{}/notice.css\">", escape(self.look.assets()))
    }
}

impl Look {
    /// The words of a message, as plain text.
    pub(super) fn message_text(&self, message: Message) -> String {
        let texts = self.texts();
        let key = match message {
            Message::Refused => "message.refused",
            Message::Locked { wait } => {
                let minutes = texts.count("minutes", minutes(wait));
                return texts.fill("message.locked", &[("minutes", &minutes)]);
            }
            Message::TooLate => {
                return texts
                    .fill("message.too_late", &[("support", &self.settings().support_contact)]);
            }
            Message::SignedOut => "message.signed_out",
            Message::SessionEnded => "message.session_ended",
            Message::Stale => "message.stale",
            Message::PasswordSet | Message::PasswordChanged => "message.done",
            Message::Overtaken => "message.overtaken",
        };
        texts.get(key).to_owned()
    }
}
