//! `[[brand]]`: names, colours and links per reseller (R-D7).

use std::collections::HashMap;
use std::path::PathBuf;

use url::Url;

use super::pages;
use super::section::Section;
use super::value::{Value, Wrong, wrong, wrong_but};
use crate::domain::language::Language;
use crate::domain::login_name::fold;

/// One `[[brand]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brand {
    /// The host names at which it is shown, lower-case.
    pub hosts: Vec<String>,
    /// The tenants whose accounts are of this brand, in canonical spelling.
    pub tenants: Vec<String>,
    /// Every link of this brand begins with it; its host is one of `hosts`.
    pub public_url: Url,
    /// The name in titles and e-mails.
    pub name: String,
    /// A picture, if there is one.
    pub logo: Option<PathBuf>,
    /// Colour of buttons and links: `#rgb` or `#rrggbb`.
    pub accent: Option<String>,
    /// Whom its users are told to ask.
    pub support: Option<String>,
    /// Sender of its e-mails.
    pub mail_from: Option<String>,
    /// Language of its pages and e-mails.
    pub locale: Language,
}

pub(super) fn read(sections: &[Section<'_>], default_locale: &Language) -> Vec<Brand> {
    let brands: Vec<Option<Brand>> =
        sections.iter().map(|section| brand(section, default_locale)).collect();
    let mut hosts = HashMap::new();
    let mut tenants = HashMap::new();
    for (section, brand) in sections.iter().zip(&brands) {
        let Some(brand) = brand else { continue };
        refuse_shared(section, "hosts", &brand.hosts, &brand.name, &mut hosts);
        refuse_shared(section, "tenants", &brand.tenants, &brand.name, &mut tenants);
    }
    brands.into_iter().flatten().collect()
}

/// A host or tenant of two brands would have two names, and two different links in its mails.
fn refuse_shared(
    section: &Section<'_>,
    key: &'static str,
    values: &[String],
    brand: &str,
    owners: &mut HashMap<String, String>,
) {
    for value in values {
        if let Some(owner) = owners.insert(value.clone(), brand.to_owned()) {
            let message = format!("\"{value}\" belongs to \"{owner}\" already");
            section.problem(key, &message, None);
        }
    }
}

fn brand(section: &Section<'_>, default_locale: &Language) -> Option<Brand> {
    let hosts = section.plain_list("hosts", Value::host_name);
    let tenants = section.plain_list("tenants", |value| value.filled_text().map(|t| fold(&t)));
    let name = section.required("name", "\"Acme Voice\"", Value::filled_text);
    let public_url =
        section.required("public_url", "\"https://voice.acme.example\"", Value::public_url);
    let logo = section.path("logo");
    let accent = section.get("accent", accent).flatten();
    let support = section.get("support", Value::optional_text).flatten();
    let mail_from = section.get("mail_from", super::mail::optional_mailbox).flatten();
    let locale = section.or("locale", default_locale.clone(), pages::locale);
    if hosts.is_empty() && !section.has("hosts") {
        section.problem("hosts", "needs at least one host name", None);
    }
    if let Some(host) = public_url.as_ref().and_then(Url::host_str) {
        let named = hosts.iter().any(|other| other.split(':').next() == Some(host));
        if !hosts.is_empty() && !named {
            let message = format!("its host {host} is not among this brand's hosts");
            section.problem("public_url", &message, Some("links would lead to another brand"));
        }
    }
    Some(Brand {
        hosts,
        tenants,
        public_url: public_url?,
        name: name?,
        logo,
        accent,
        support,
        mail_from,
        locale,
    })
}

/// Only a plain colour: it is written into style sheets.
fn accent(value: Value<'_>) -> Result<Option<String>, Wrong> {
    let Some(text) = value.optional_text()? else { return Ok(None) };
    match text.strip_prefix('#') {
        Some(digits)
            if matches!(digits.len(), 3 | 6) && digits.bytes().all(|b| b.is_ascii_hexdigit()) =>
        {
            Ok(Some(text))
        }
        Some(_) => {
            wrong(format!("\"{text}\" is not a colour: three or six hex digits after the #"))
        }
        None => wrong_but(format!("\"{text}\" is not a colour"), "write \"#0a5\" or \"#00aa55\""),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problems};

    const ACME: &str = "[[brand]]\nhosts = [\"Voice.acme.example\"]\ntenants = [\"ACME\"]\n\
                        public_url = \"https://voice.acme.example\"\nname = \"Acme\"\n";

    #[test]
    fn a_brand_is_read() {
        let brands = config(ACME).brands;
        assert_eq!(brands[0].hosts, ["voice.acme.example"]);
        assert_eq!(brands[0].tenants, ["acme"]);
        assert_eq!(brands[0].locale.tag(), "en");
    }

    #[test]
    fn two_brands_share_neither_host_nor_tenant() {
        let problems = problems(&format!("{ACME}{ACME}"));
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(
            problems[0].contains(":7: brand.hosts: \"voice.acme.example\" belongs to \"Acme\"")
        );
        assert!(problems[1].contains(":8: brand.tenants: \"acme\" belongs to \"Acme\""));
    }

    #[test]
    fn links_stay_within_the_brand_and_colours_are_colours() {
        let text = ACME.replace("https://voice", "https://other");
        let problems = problems(&format!("{text}accent = \"red;}}\"\n"));
        assert!(problems[0].contains("other.acme.example is not among"), "{problems:?}");
        assert!(problems[1].contains(":6: brand.accent:"), "{problems:?}");
    }
}
