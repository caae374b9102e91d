//! E-mail addresses: what is accepted, and what may be shown of one.

/// Why an e-mail address was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the e-mail address must look like name@example.com")]
pub struct BadEmail;

/// Checks an address: one that mail software delivers and that cannot smuggle a second recipient
/// or header into a message (a safe subset of RFC 5321 §4.1.2; no quoted local parts).
pub fn email(text: &str) -> Result<String, BadEmail> {
    let text = text.trim();
    let (local, domain) = text.rsplit_once('@').ok_or(BadEmail)?;
    let local_ok = !local.is_empty()
        && local.len() <= 64
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && local.chars().all(|c| {
            c.is_ascii_alphanumeric()
                || "!#$%&'*+-/=?^_`{|}~.".contains(c)
                || (!c.is_ascii() && c.is_alphanumeric())
        });
    let label_ok = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    let domain_ok = domain.contains('.') && domain.split('.').all(label_ok);
    if local_ok && domain_ok && text.len() <= 254 { Ok(text.to_owned()) } else { Err(BadEmail) }
}

/// An address as it may be shown to somebody who is not signed in: `jane@corp.example` becomes
/// `j•••@c•••.example`. Enough to recognise one's own, too little to learn another's.
pub fn masked(address: &str) -> String {
    let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    let (name, ending) = domain.rsplit_once('.').unwrap_or((domain, ""));
    let first = |text: &str| text.chars().next().map(String::from).unwrap_or_default();
    format!("{}•••@{}•••.{ending}", first(local), first(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_mail_software_delivers() {
        for good in ["a@b.example", "jane.doe+x@mail.example.com", "ü@exämple.com", " a@b.co "] {
            assert_eq!(email(good).as_deref(), Ok(good.trim()), "{good}");
        }
    }

    /// No address smuggles a second recipient, a header or a display name into a message.
    #[test]
    fn addresses_that_are_none() {
        for bad in [
            "",
            "a",
            "@b.example",
            "a@",
            "a@b",
            "a b@c.example",
            "a@b.example\r\nBcc: x@y.example",
            "a@b.example,c@d.example",
            "a@b.example;c@d.example",
            "<a@b.example>",
            "\"a\"@b.example",
            "a..b@c.example",
            ".a@c.example",
            "a@-b.example",
            "a@b..example",
            "a@[127.0.0.1]",
            "x@y@z.example",
        ] {
            assert_eq!(email(bad), Err(BadEmail), "{bad:?}");
        }
        assert_eq!(email(&format!("{}@b.example", "x".repeat(65))), Err(BadEmail));
        assert_eq!(email(&format!("a@{}example", "x.".repeat(130))), Err(BadEmail));
    }

    #[test]
    fn a_masked_address_shows_three_things() {
        assert_eq!(masked("jane@corp.example"), "j•••@c•••.example");
        assert_eq!(masked("j@mail.corp.example"), "j•••@m•••.example");
        assert_eq!(masked("ü@ö.example"), "ü•••@ö•••.example");
    }
}
