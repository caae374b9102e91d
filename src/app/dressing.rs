//! In whose name and in which words pages and mails are made: brands with their pictures, and the
//! operator's own texts and templates. Files are read once, at the start.

use std::path::Path;

use super::StartError;
use crate::config::{Brand as BrandConfig, Config};
use crate::domain::language::Language;
use crate::web::{Accent, Brand, Brands, Logo, Overrides};

/// What pages and mails have in common.
pub(super) struct Dressing {
    pub brands: Brands,
    pub overrides: Overrides,
}

/// Reads it all; `Err` is one text with every problem.
pub(super) fn open(config: &Config) -> Result<Dressing, StartError> {
    read(config).map_err(|problems| StartError { what: "pages", why: problems.join("\n") })
}

/// What is wrong with the files of brands and with `pages.overrides`, for `passgate check`.
pub fn check_dressing(config: &Config) -> Vec<String> {
    read(config).err().unwrap_or_default()
}

fn read(config: &Config) -> Result<Dressing, Vec<String>> {
    let mut problems = Vec::new();
    let overrides = match config.pages.overrides.as_deref().map(Overrides::read) {
        None => Overrides::default(),
        Some(Ok(overrides)) => overrides,
        Some(Err(found)) => {
            problems.extend(found.into_iter().map(|problem| format!("pages.overrides: {problem}")));
            Overrides::default()
        }
    };
    let spoken = overrides.languages();
    let mut brand = |named: &BrandConfig| {
        let logo = named.logo.as_deref().map(picture).transpose().unwrap_or_else(|why| {
            problems.push(format!("brand.logo: {why}"));
            None
        });
        if !spoken.contains(&named.locale) {
            problems.push(not_spoken("brand.locale", &named.locale, &spoken));
        }
        Brand {
            hosts: named.hosts.iter().map(|host| without_port(host).to_owned()).collect(),
            tenants: named.tenants.clone(),
            public_url: named.public_url.as_str().trim_end_matches('/').to_owned(),
            name: named.name.clone(),
            support: named.support.clone().or_else(|| config.support.contact.clone()),
            mail_from: named.mail_from.clone().unwrap_or_else(|| sender(config)),
            language: named.locale.clone(),
            accent: named.accent.as_deref().and_then(Accent::new),
            logo,
        }
    };
    let mut brands: Vec<Brand> = config.brands.iter().map(&mut brand).collect();
    let language = &config.pages.default_locale;
    if !spoken.contains(language) {
        problems.push(not_spoken("pages.default_locale", language, &spoken));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let host = config.server.public_url.host_str().unwrap_or_default();
    let of_host = brands.iter().position(|brand| brand.hosts.iter().any(|other| other == host));
    let general = match of_host {
        Some(place) => brands.remove(place),
        None => general(config, host),
    };
    Ok(Dressing { brands: Brands::new(general, brands), overrides })
}

/// Whoever belongs to no brand sees the name by which the portal is known: its host.
fn general(config: &Config, host: &str) -> Brand {
    Brand {
        hosts: Vec::new(),
        tenants: Vec::new(),
        public_url: config.server.public_url.as_str().trim_end_matches('/').to_owned(),
        name: host.to_owned(),
        support: config.support.contact.clone(),
        mail_from: sender(config),
        language: config.pages.default_locale.clone(),
        accent: None,
        logo: None,
    }
}

fn sender(config: &Config) -> String {
    config.mail.as_ref().map(|mail| mail.from.clone()).unwrap_or_default()
}

fn without_port(host: &str) -> &str {
    host.split(':').next().unwrap_or_default()
}

fn picture(path: &Path) -> Result<Logo, String> {
    let wrong = |why: String| format!("{}: {why}", path.display());
    let content = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let ending = path.extension().unwrap_or_default().to_string_lossy();
    Logo::new(&ending, content).map_err(wrong)
}

fn not_spoken(key: &str, language: &Language, spoken: &[Language]) -> String {
    let spoken: Vec<&str> = spoken.iter().map(Language::tag).collect();
    format!(
        "{key}: there are no texts in \"{language}\", only in {}; a file locales/{language}.toml in \
         pages.overrides adds them",
        spoken.join(", ")
    )
}
