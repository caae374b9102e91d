//! Brands: under which name, with which links, colours and sender somebody is spoken to (R-D7).

use std::sync::Arc;

use bytes::Bytes;

use super::accent::Accent;
use crate::domain::language::Language;

/// One brand.
#[derive(Debug, Clone)]
pub struct Brand {
    /// The host names at which it is shown, lower-case, without port.
    pub hosts: Vec<String>,
    /// The tenants whose accounts are of this brand, in canonical spelling.
    pub tenants: Vec<String>,
    /// Every link of this brand begins with it; no slash at its end.
    pub public_url: String,
    /// The name on its pages and e-mails.
    pub name: String,
    /// Whom its users should ask, as part of a sentence; else the words of the language
    /// (`common.support`).
    pub support: Option<String>,
    /// The sender of its e-mails: `Name <address>`.
    pub mail_from: String,
    /// The language of readers whose browser names none that we speak, and of mails that nobody
    /// asked for in a browser.
    pub language: Language,
    /// The colour of its buttons and links, if it has one of its own.
    pub accent: Option<Accent>,
    /// Its picture, if it has one.
    pub logo: Option<Logo>,
}

/// A picture that stands before the name.
#[derive(Debug, Clone)]
pub struct Logo {
    /// What it is: `image/svg+xml`, …
    pub content_type: &'static str,
    /// The file's ending, for its address.
    pub ending: &'static str,
    /// The file.
    pub content: Bytes,
}

/// The kinds of picture, by the ending of their file.
const PICTURES: [(&str, &str); 6] = [
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("webp", "image/webp"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
];

impl Logo {
    /// Larger, and a page would be too heavy; in bytes.
    pub const LARGEST: usize = 24 * 1024;

    /// The picture of a file that ends in `ending`; `Err` says what is wrong with it.
    pub fn new(ending: &str, content: Vec<u8>) -> Result<Self, String> {
        let ending = ending.to_ascii_lowercase();
        let known = PICTURES.iter().find(|(known, _)| *known == ending);
        let Some((ending, content_type)) = known else {
            let known = PICTURES.map(|(ending, _)| ending).join(", ");
            return Err(format!("\"{ending}\" is no kind of picture that is shown: use {known}"));
        };
        if content.is_empty() || content.len() > Self::LARGEST {
            let (has, most) = (content.len().div_ceil(1024), Self::LARGEST / 1024);
            return Err(format!("the picture has {has} KiB; it may have at most {most} KiB"));
        }
        Ok(Self { content_type, ending, content: content.into() })
    }
}

/// All brands. The first is for whoever belongs to none of the others.
#[derive(Debug, Clone)]
pub struct Brands(Vec<Arc<Brand>>);

impl Brands {
    /// `general` is for hosts and tenants that no other brand names.
    pub fn new(general: Brand, others: Vec<Brand>) -> Self {
        Self(std::iter::once(general).chain(others).map(Arc::new).collect())
    }

    /// Each of them, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Brand>> {
        self.0.iter()
    }

    /// The place, in that order, of the brand for a reader: that of the account that is signed in,
    /// else that of the host. Who belongs to none gets the general one.
    pub fn place_for(&self, tenant: Option<&str>, host: &str) -> usize {
        let of_tenant = tenant.and_then(|tenant| {
            self.0.iter().position(|brand| brand.tenants.iter().any(|other| other == tenant))
        });
        let of_host = || {
            let name = host_name(host).to_ascii_lowercase();
            self.0.iter().position(|brand| brand.hosts.contains(&name))
        };
        of_tenant.or_else(of_host).unwrap_or_default()
    }

    /// The brand at a place.
    pub fn at(&self, place: usize) -> &Arc<Brand> {
        &self.0[place]
    }

    /// The brand of a tenant's accounts: whatever host somebody came by.
    pub fn of_tenant(&self, tenant: &str) -> &Arc<Brand> {
        self.at(self.place_for(Some(tenant), ""))
    }
}

/// A host without its port.
fn host_name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// A brand without hosts and tenants.
    pub fn brand(name: &str, public_url: &str) -> Brand {
        Brand {
            hosts: Vec::new(),
            tenants: Vec::new(),
            public_url: public_url.into(),
            name: name.into(),
            support: Some("the Acme help desk, 555-0100".into()),
            mail_from: "Acme Voice <no-reply@acme.example>".into(),
            language: Language::parse("en").expect("a tag"),
            accent: None,
            logo: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::brand;
    use super::*;

    fn brands() -> Brands {
        let acme = Brand {
            hosts: vec!["voice.acme.example".into()],
            tenants: vec!["acme".into()],
            ..brand("Acme", "https://voice.acme.example")
        };
        let zeta = Brand {
            hosts: vec!["phone.zeta.example".into()],
            tenants: vec!["zeta".into()],
            ..brand("Zeta", "https://phone.zeta.example")
        };
        Brands::new(brand("Telco", "https://portal.example.com"), vec![acme, zeta])
    }

    /// R-D7: every page is of the account's brand; before anybody is signed in, of the host's.
    #[test]
    fn the_account_decides_and_then_the_host() {
        let brands = brands();
        for (tenant, host, place) in [
            (None, "portal.example.com", 0),
            (None, "Voice.ACME.example:8443", 1),
            (Some("zeta"), "voice.acme.example", 2),
            (Some("zeta"), "portal.example.com", 2),
            (Some("another"), "voice.acme.example", 1),
            (Some("another"), "portal.example.com", 0),
            (None, "[2001:db8::1]:443", 0),
            (None, "", 0),
        ] {
            assert_eq!(brands.place_for(tenant, host), place, "{tenant:?} at {host}");
        }
        assert_eq!(brands.of_tenant("acme").name, "Acme");
        assert_eq!(brands.of_tenant("another").name, "Telco");
    }

    #[test]
    fn a_logo_is_a_small_picture() {
        assert_eq!(Logo::new("SVG", b"<svg/>".to_vec()).unwrap().content_type, "image/svg+xml");
        assert!(Logo::new("exe", b"MZ".to_vec()).unwrap_err().contains("use svg, png"));
        assert!(Logo::new("png", vec![0; 30_000]).unwrap_err().contains("at most 24 KiB"));
        assert!(Logo::new("png", Vec::new()).is_err());
    }
}
