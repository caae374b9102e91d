//! Which requests of ended sessions are forms that may be kept (R-C4).

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::client_kind::{ClientKind, Initiator, initiator};
use super::cookies;
use crate::domain::kept_form::{KeptForm, may_be_kept};
use crate::domain::next_path::safe_next;

/// A form that comes too late, before its body is read.
pub(super) struct LateForm {
    target: String,
    referer: Option<String>,
    content_type: String,
    /// Value of the device cookie, unopened.
    device: String,
}

impl LateForm {
    /// A form that a page of this origin sent as a navigation, from a browser that signed in before.
    pub(super) fn of(
        headers: &HeaderMap,
        target: &str,
        host: &str,
        kind: ClientKind,
    ) -> Option<Self> {
        let of_this_origin = initiator(headers, host) == Initiator::SameOrigin;
        if kind != ClientKind::Navigation || !of_this_origin {
            return None;
        }
        let text = |name: HeaderName| {
            let mut values = headers.get_all(name).iter();
            let only = values.next().filter(|_| values.next().is_none())?;
            only.to_str().ok().map(str::to_owned)
        };
        let content_type = text(header::CONTENT_TYPE)?;
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded")
            || headers.contains_key(header::CONTENT_ENCODING)
        {
            return None;
        }
        let sent = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes);
        Some(Self {
            target: safe_next(target)?.to_owned(),
            referer: text(header::REFERER),
            device: cookies::find(sent, cookies::DEVICE)?.to_owned(),
            content_type,
        })
    }

    /// What is kept of it; `None` if its fields may not be.
    pub(super) fn with(&self, body: &[u8]) -> Option<KeptForm> {
        let body = std::str::from_utf8(body).ok().filter(|body| may_be_kept(body))?;
        Some(KeptForm {
            target: self.target.clone(),
            referer: self.referer.clone(),
            content_type: self.content_type.clone(),
            body: body.to_owned(),
        })
    }

    /// Value of the device cookie of its browser.
    pub(super) fn device(&self) -> &str {
        &self.device
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "portal.example.com";

    fn late(change: &[(&'static str, &str)], kind: ClientKind, target: &str) -> Option<LateForm> {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-type", "application/x-www-form-urlencoded; charset=UTF-8"),
            ("origin", "https://portal.example.com"),
            ("referer", "https://portal.example.com/portal/profile"),
            ("cookie", "a=b; __Host-passgate-device=sealed"),
        ]
        .iter()
        .chain(change)
        {
            match value.is_empty() {
                true => headers.remove(*name),
                false => headers.insert(*name, value.parse().unwrap()),
            };
        }
        LateForm::of(&headers, target, HOST, kind)
    }

    /// R-C4: a form that a page of this origin sent by navigation, from a browser that somebody
    /// signed in with; nothing else is even read.
    #[test]
    fn only_forms_of_this_origins_pages_are_kept() {
        let navigation = ClientKind::Navigation;
        let kept = late(&[], navigation, "/portal/profile?tab=2").unwrap();
        assert_eq!(kept.device(), "sealed");
        let form = kept.with(b"name=Alice+A.&x=%C3%A9").unwrap();
        assert_eq!((form.target.as_str(), form.body.len()), ("/portal/profile?tab=2", 22));
        assert_eq!(form.referer.as_deref(), Some("https://portal.example.com/portal/profile"));
        assert!(kept.with(b"pin=1234").is_none() && kept.with(b"a=\xff").is_none());
        for (change, kind, target) in [
            (&[][..], ClientKind::Script, "/portal/profile"),
            (&[], ClientKind::Unstated, "/portal/profile"),
            (&[], navigation, "//evil.example"),
            (&[("origin", "https://evil.example")], navigation, "/portal/profile"),
            (&[("origin", "null")], navigation, "/portal/profile"),
            (&[("sec-fetch-site", "cross-site")], navigation, "/portal/profile"),
            (&[("origin", ""), ("referer", "")], navigation, "/portal/profile"),
            (&[("content-type", "")], navigation, "/portal/profile"),
            (&[("content-type", "multipart/form-data; boundary=x")], navigation, "/portal/profile"),
            (&[("content-encoding", "gzip")], navigation, "/portal/profile"),
            (&[("cookie", "a=b")], navigation, "/portal/profile"),
        ] {
            assert!(late(change, kind, target).is_none(), "{change:?} {kind:?} {target}");
        }
    }
}
