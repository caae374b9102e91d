//! What Passgate puts into the portal's own pages: the notice of the warn phase (R-A2), the message
//! and the links on the login page (R-C1), and what stands in every page of a session. Each is one
//! element that works under a strict Content-Security-Policy: nothing inline, and no script but the
//! one that warns of a session's end. A style sheet of ours makes it pretty; a
//! policy that blocks it leaves a plain, readable, centred table.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::look::{Look, ascii, escape};
use super::minutes;
use super::texts::interpolate;
use crate::flows::Services;
use crate::flows::rejection::Rejection;
use crate::flows::set_password::PinFate;

/// Something that a page says about what was done before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// Login name or secret is wrong.
    Refused,
    /// Too many attempts; this long to wait.
    Locked {
        /// Until the next attempt is possible.
        wait: Duration,
    },
    /// The PIN is right, but no longer opens the portal, and e-mail is off.
    TooLate,
    /// The same, and there is no address on file that a link could go to.
    NoAddress,
    /// The same, and a link was e-mailed.
    Mailed {
        /// To this address, masked.
        to: String,
        /// At this time.
        at: Timestamp,
        /// To a user of this tenant, whose clock it is.
        tenant: String,
        /// For so long it works.
        works_for: Duration,
        /// When the user was told so.
        told_at: Timestamp,
    },
    /// The same, and no link was sent: the address had as many mails as it gets for now.
    NotNow {
        /// The address, masked.
        to: String,
        /// When there is room for one.
        until: Timestamp,
        /// For a user of this tenant, whose clock it is.
        tenant: String,
        /// When the user was told so.
        told_at: Timestamp,
    },
    /// The user signed out.
    SignedOut,
    /// The session ended by itself.
    SessionEnded,
    /// It had ended when a form was sent, which is kept.
    FormKept,
    /// The same, and the form is lost.
    FormLost,
    /// A kept form was thrown away.
    FormDiscarded,
    /// The form was sent from a page that was open too long.
    Stale,
    /// The first portal password was saved.
    PasswordSet,
    /// Another portal password was saved.
    PasswordChanged,
    /// A portal password was saved where one was needed to go on: at force, or by a link.
    Saved {
        /// The voicemail PIN.
        pin: PinFate,
        /// Where a link went that confirms this address.
        confirming: Option<String>,
    },
    /// The same, but the PBX does not answer: the user is not signed in yet.
    SavedOnly {
        /// The voicemail PIN.
        pin: PinFate,
    },
    /// The address is on file now.
    EmailConfirmed {
        /// The address.
        address: String,
    },
    /// A link that confirms this address went there.
    ConfirmSent {
        /// The address.
        address: String,
        /// For so long it works.
        works_for: Duration,
    },
    /// No further link went out.
    ConfirmNotAgain {
        /// When the latest was asked for.
        at: Timestamp,
        /// By a user of this tenant, whose clock it is.
        tenant: String,
        /// When the user was told so.
        told_at: Timestamp,
    },
    /// The address that was asked for is on file already.
    EmailSame,
    /// The user ended sessions of the account.
    SignedOutElsewhere {
        /// So many.
        sessions: u64,
    },
    /// Somebody else changed the password meanwhile.
    Overtaken,
}

impl Message {
    /// What is said to somebody whose PIN came too late (R-A4).
    pub fn of_rejection(rejection: &Rejection, tenant: &str, services: &Services) -> Self {
        match rejection {
            Rejection::Mailed { to, at, .. } => Self::Mailed {
                to: to.clone(),
                at: *at,
                tenant: tenant.to_owned(),
                works_for: services.policies.links.reset,
                told_at: services.clock.now(),
            },
            Rejection::NotNow { to, until } => Self::NotNow {
                to: to.clone(),
                until: *until,
                tenant: tenant.to_owned(),
                told_at: services.clock.now(),
            },
            Rejection::AskSupport if services.mail.is_some() => Self::NoAddress,
            Rejection::AskSupport => Self::TooLate,
        }
    }

    /// Good or neutral news (`role="status"`), or something to mend (`role="alert"`).
    pub fn is_good(&self) -> bool {
        matches!(
            self,
            Self::SignedOut
                | Self::PasswordSet
                | Self::PasswordChanged
                | Self::Saved { .. }
                | Self::SavedOnly { .. }
                | Self::EmailConfirmed { .. }
                | Self::ConfirmSent { .. }
                | Self::ConfirmNotAgain { .. }
                | Self::EmailSame
                | Self::FormDiscarded
                | Self::SignedOutElsewhere { .. }
        )
    }

    /// The form in which a flash carries it: one line.
    pub(super) fn spelled(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads what [`Self::spelled`] wrote.
    pub(super) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// What stands in every page of the portal while somebody is signed in. It is the same for all of
/// them, so that their pages can be kept and recognised as before.
pub struct Additions {
    /// The link to account security (R-D5), for the portal's menu: in the portal's own style.
    pub security_link: Option<String>,
    /// The script that says when the session is about to end (R-C4). A file of ours on this origin:
    /// a content policy may keep it away, and then nothing is said.
    pub session_script: Option<String>,
}

impl Additions {
    fn new(look: &Look) -> Self {
        let settings = look.settings();
        let link = || {
            let (place, words) = (look.page("security"), look.texts().get("security.title"));
            let (place, words) = (escape(&place), escape(words));
            let language = escape(look.texts().get("language.code"));
            ascii(&format!(
                "<a id=\"passgate-security\" href=\"{place}\" lang=\"{language}\">{words}</a>"
            ))
        };
        let script =
            || format!("<script src=\"{}/session.js\" defer></script>", escape(look.assets()));
        Self {
            security_link: settings.security_link.then(link),
            session_script: settings.session_warning.map(|_| script()),
        }
    }
}

/// Makes the elements, in the words of one language and one brand.
pub struct Notices {
    look: Look,
    additions: Additions,
}

impl Notices {
    pub(super) fn new(look: Look) -> Self {
        Self { additions: Additions::new(&look), look }
    }

    /// What stands in every page of the portal while somebody is signed in.
    pub fn additions(&self) -> &Additions {
        &self.additions
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
        let html = format!(
            "<div id=\"passgate-notice\" role=\"status\" lang=\"{}\" align=\"center\">{}\
             <table align=\"center\" width=\"100%\" cellpadding=\"10\" cellspacing=\"0\" border=\"0\" \
             bgcolor=\"#fff3c4\" role=\"presentation\"><tr><td align=\"center\">\
             <font color=\"#3d2e00\" face=\"system-ui, sans-serif\">{text} \
             <a href=\"{}\"><font color=\"#3d2e00\"><b>{}</b></font></a></font>\
             </td></tr></table></div>",
            self.language(),
            self.style_sheet(),
            escape(&link),
            escape(texts.get("notice.link")),
        );
        ascii(&html)
    }

    /// A message above the portal's login form, or above the page after a password was set:
    /// `id="passgate-message"`, with `role="alert"` or, for good news, `role="status"`.
    pub fn message_html(&self, message: &Message) -> String {
        let (role, background, ink) = match message.is_good() {
            true => ("status", "#dff5e3", "#0b3d1c"),
            false => ("alert", "#fde7e6", "#5c0f0b"),
        };
        let html = format!(
            "<div id=\"passgate-message\" class=\"{role}\" role=\"{role}\" lang=\"{}\" align=\"center\">{}\
             <table align=\"center\" width=\"100%\" cellpadding=\"10\" cellspacing=\"0\" border=\"0\" \
             bgcolor=\"{background}\" role=\"presentation\"><tr><td align=\"center\">\
             <font color=\"{ink}\" face=\"system-ui, sans-serif\">{}</font>\
             </td></tr></table></div>",
            self.language(),
            self.style_sheet(),
            self.message_words(message, ink),
        );
        ascii(&html)
    }

    /// What stands below the portal's login form for people who cannot sign in:
    /// `id="passgate-links"`. Plain links in the portal's own style; `None` without e-mail, when
    /// they would lead to no help.
    pub fn links_html(&self) -> Option<String> {
        if !self.look.settings().sends_mail {
            return None;
        }
        let texts = self.look.texts();
        let link = |page: &str, key: &str| {
            let (place, words) = (self.look.page(page), texts.get(key));
            format!("<a href=\"{}\">{}</a>", escape(&place), escape(words))
        };
        let links = [
            link("forgot-password", "ways.forgot_password"),
            link("forgot-login-name", "ways.forgot_login_name"),
            link("new-user", "ways.new_user"),
        ];
        let html = format!(
            "<div id=\"passgate-links\" role=\"navigation\" aria-label=\"{}\" lang=\"{}\" align=\"center\">{}\
             <p>{}</p></div>",
            escape(texts.get("ways.label")),
            self.language(),
            self.style_sheet(),
            links.join("<br>"),
        );
        Some(ascii(&html))
    }

    /// Said at each element: the portal's page may be in another language.
    fn language(&self) -> String {
        escape(self.look.texts().get("language.code"))
    }

    /// The words of a message as HTML: with a link, where it names one.
    fn message_words(&self, message: &Message, ink: &str) -> String {
        match message {
            Message::Locked { wait } if self.look.settings().sends_mail => {
                let texts = self.look.texts();
                let minutes = escape(&texts.count("minutes", minutes(*wait)));
                let forgot = format!(
                    "<a href=\"{}\"><font color=\"{ink}\">{}</font></a>",
                    escape(&self.look.page("forgot-password")),
                    escape(texts.get("message.forgot")),
                );
                let values = [("minutes", minutes.as_str()), ("forgot", forgot.as_str())];
                interpolate(&escape(texts.get("message.locked_or_forgot")), &values)
            }
            _ => escape(&self.message_text(message)),
        }
    }

    /// The words of a message, as plain text.
    pub fn message_text(&self, message: &Message) -> String {
        self.look.message_text(message)
    }

    fn style_sheet(&self) -> String {
        format!("<link rel=\"stylesheet\" href=\"{}/notice.css\">", escape(self.look.assets()))
    }
}

impl Look {
    /// The words of a message, as plain text.
    pub(super) fn message_text(&self, message: &Message) -> String {
        let texts = self.texts();
        let support = self.support();
        let key = match message {
            Message::Refused => "message.refused",
            Message::Locked { wait } => {
                let minutes = texts.count("minutes", minutes(*wait));
                let key = match self.settings().sends_mail {
                    true => "message.locked_or_forgot",
                    false => "message.locked",
                };
                let forgot = texts.get("message.forgot");
                return texts.fill(key, &[("minutes", &minutes), ("forgot", forgot)]);
            }
            Message::TooLate => return texts.fill("message.too_late", &[("support", support)]),
            Message::NoAddress => return texts.fill("message.no_address", &[("support", support)]),
            Message::Mailed { to, at, tenant, works_for, told_at } => {
                let at = self.moment(*at, *told_at, tenant);
                let life = texts.span(*works_for);
                let values = [("address", to.as_str()), ("at", &at), ("life", &life)];
                return texts.fill("message.mailed", &values);
            }
            Message::NotNow { to, until, tenant, told_at } => {
                let at = self.moment(*until, *told_at, tenant);
                let values = [("address", to.as_str()), ("at", &at), ("support", support)];
                return texts.fill("message.not_now", &values);
            }
            Message::SignedOut => "message.signed_out",
            Message::SessionEnded => "message.session_ended",
            Message::FormKept => "message.form_kept",
            Message::FormLost => "message.form_lost",
            Message::FormDiscarded => "message.form_discarded",
            Message::Stale => "message.stale",
            Message::PasswordSet | Message::PasswordChanged => "message.done",
            Message::Saved { pin, confirming } => return self.saved(*pin, confirming.as_deref()),
            Message::SavedOnly { pin: PinFate::Pending } => "message.saved_only_pending",
            Message::SavedOnly { .. } => "message.saved_only",
            Message::EmailConfirmed { address } => {
                return texts.fill("message.email_confirmed", &[("address", address)]);
            }
            Message::ConfirmSent { address, works_for } => {
                let life = texts.span(*works_for);
                let values = [("address", address.as_str()), ("life", &life)];
                return texts.fill("message.email_asked", &values);
            }
            Message::ConfirmNotAgain { at, tenant, told_at } => {
                let at = self.moment(*at, *told_at, tenant);
                return texts.fill("message.email_not_again", &[("at", &at)]);
            }
            Message::EmailSame => "message.email_same",
            Message::SignedOutElsewhere { sessions } => {
                return texts.count("message.signed_out_elsewhere", *sessions);
            }
            Message::Overtaken => "message.overtaken",
        };
        texts.get(key).to_owned()
    }

    fn saved(&self, pin: PinFate, confirming: Option<&str>) -> String {
        let texts = self.texts();
        let done = match pin {
            PinFate::Unchanged => texts.get("message.done"),
            PinFate::Written => texts.get("message.done_new_pin"),
            PinFate::Pending => texts.get("message.done_pending"),
        };
        match confirming {
            Some(address) => {
                let confirm = texts.fill("message.confirm_sent", &[("address", address)]);
                format!("{done} {confirm}")
            }
            None => done.to_owned(),
        }
    }

    /// The clock of a tenant.
    pub(super) fn zone(&self, tenant: &str) -> &TimeZone {
        let settings = self.settings();
        settings.tenant_time_zones.get(tenant).unwrap_or(&settings.time_zone)
    }

    /// The time of day on a tenant's clock; with the date, if it is another day than `today`.
    pub(super) fn moment(&self, at: Timestamp, today: Timestamp, tenant: &str) -> String {
        let zone = self.zone(tenant);
        let (at, today) = (at.to_zoned(zone.clone()), today.to_zoned(zone.clone()));
        let texts = self.texts();
        let time = texts.moment("language.time", &at);
        if at.date() == today.date() {
            return time;
        }
        let date = texts.moment("language.date", &at);
        texts.fill("message.other_day", &[("time", &time), ("date", &date)])
    }
}
