//! `[[machine_client]]`: clients that do not log in (R-F4).

use std::collections::HashSet;

use http::HeaderName;
use ipnet::IpNet;

use super::ServerConfig;
use super::chosen;
use super::section::Section;
use super::value::{Value, Wrong, wrong, wrong_but};
use crate::domain::secret::Secret;
use crate::profile::{CredentialField, PathSet};

/// One `[[machine_client]]`.
#[derive(Debug, Clone)]
pub struct MachineClient {
    /// Its name in the access log and in the metric.
    pub name: String,
    /// Where it is let in.
    pub paths: PathSet,
    /// With which methods.
    pub methods: Vec<&'static str>,
    /// From where; empty: from everywhere.
    pub addresses: Vec<IpNet>,
    /// With what; `None`: with nothing.
    pub key: Option<MachineKey>,
    /// Whether without TLS, too.
    pub plain_http: bool,
}

/// The key of a machine client.
#[derive(Debug, Clone)]
pub struct MachineKey {
    /// The key itself.
    pub secret: Secret,
    /// Where it stands in a request.
    pub place: KeyPlace,
    /// Whether the PBX gets it, too.
    pub forward: bool,
}

/// Where a key stands in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPlace {
    /// The value of a header field.
    Header(HeaderName),
    /// A parameter of the query.
    Query(String),
}

/// Shorter keys can be found by trying.
const KEY_LENGTH: usize = 20;

pub(super) fn read(sections: &[Section<'_>]) -> Vec<MachineClient> {
    let mut names = HashSet::new();
    let mut clients = Vec::new();
    for section in sections {
        let client = client(section);
        if let Some(client) = &client
            && !names.insert(client.name.clone())
        {
            let message = format!("there are two clients called \"{}\"", client.name);
            section.problem("name", &message, None);
        }
        clients.extend(client);
    }
    clients
}

fn client(section: &Section<'_>) -> Option<MachineClient> {
    let client_name = section.required("name", "\"phones\"", name);
    let paths = chosen::paths(section);
    let methods = match section.has("methods") {
        true => chosen::methods(section),
        false => {
            chosen::methods(section);
            vec!["GET", "HEAD"]
        }
    };
    if methods.is_empty() && section.has("methods") {
        section.problem("methods", "needs at least one method", None);
    }
    let addresses = section.plain_list("addresses", Value::network);
    let key = key(section);
    let anyone = section.or("anyone", false, Value::boolean);
    let plain_http = section.or("plain_http", false, Value::boolean);
    let asks_for_key = section.has("key") || section.has("key_file");
    let everywhere = addresses.iter().any(|network| network.prefix_len() == 0);
    match (anyone, section.has("addresses") || asks_for_key) {
        (true, true) => {
            let hint = "take it away, or the addresses and the key";
            section.problem("anyone", "contradicts addresses and key", Some(hint));
        }
        (true, false) => {
            let hint = "whoever finds the address gets what the PBX answers there";
            section.warn("anyone", "everybody reaches these paths without a login", Some(hint));
        }
        (false, false) => {
            let hint = "write addresses, key, or anyone = true if that is meant";
            section.problem("addresses", "nothing says who this client is", Some(hint));
        }
        (false, true) if !asks_for_key && (addresses.is_empty() || everywhere) => {
            let hint = "write anyone = true if that is meant";
            section.problem("addresses", "does not keep anybody out", Some(hint));
        }
        (false, true) => {}
    }
    if plain_http && key.is_some() {
        let hint = "use https, or name addresses of a network that you trust";
        section.warn("plain_http", "the key can be read on its way", Some(hint));
    }
    Some(MachineClient { name: client_name?, paths: paths?, methods, addresses, key, plain_http })
}

fn key(section: &Section<'_>) -> Option<MachineKey> {
    let secret = section.secret("key", "key_file");
    let header = section.get("key_header", header_name);
    let query = section.get("key_query", Value::filled_text);
    let forward = section.or("forward_key", false, Value::boolean);
    let asked_for = section.has("key") || section.has("key_file");
    if !asked_for {
        for key in ["key_header", "key_query", "forward_key"] {
            if section.has(key) {
                section.problem(key, "there is no key", Some("write key or key_file"));
            }
        }
        return None;
    }
    if secret.as_ref().is_none_or(Secret::is_empty) {
        if secret.is_some() || section.has("key") && !section.has("key_file") {
            section.problem("key", "must not be empty", None);
        }
        return None;
    }
    if secret.as_ref().is_some_and(|secret| secret.expose().len() < KEY_LENGTH) {
        let hint = "make one of 32 random characters: openssl rand -hex 16";
        section.warn("key", "a short key can be found by trying", Some(hint));
    }
    let place = match (header, query) {
        (Some(header), None) => KeyPlace::Header(header),
        (None, Some(query)) => KeyPlace::Query(query),
        (Some(_), Some(_)) => {
            section.problem("key_query", "the key stands in one place", Some("keep one of them"));
            return None;
        }
        (None, None) => {
            if !section.has("key_header") && !section.has("key_query") {
                let hint = "write key_header = \"X-Api-Key\", or key_query";
                section.problem("key", "nothing says where the key stands", Some(hint));
            }
            return None;
        }
    };
    Some(MachineKey { secret: secret?, place, forward })
}

/// A name for labels and log lines.
fn name(value: Value<'_>) -> Result<String, Wrong> {
    let text = value.filled_text()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match text.len() <= 40 && text.chars().all(plain) {
        true => Ok(text),
        false => wrong(format!("\"{text}\": at most 40 letters, digits, -, _ and .")),
    }
}

/// A field of a client's own: not one that says who or what it is on the way.
fn header_name(value: Value<'_>) -> Result<HeaderName, Wrong> {
    const TAKEN: [&str; 9] = [
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "forwarded",
        "host",
        "te",
        "transfer-encoding",
        "upgrade",
    ];
    let text = value.filled_text()?;
    let Ok(name) = HeaderName::try_from(&text) else {
        return wrong(format!("\"{text}\" is not the name of a header field"));
    };
    let taken = TAKEN.contains(&name.as_str()) || name.as_str().starts_with("x-forwarded-");
    if taken || name.as_str().contains('_') {
        return wrong_but(format!("\"{text}\" does not pass"), "use \"X-Api-Key\" or the like");
    }
    Ok(name)
}

/// Finds what can be seen only beside other sections.
pub(super) fn refuse_what_cannot_work(
    sections: &[Section<'_>],
    clients: &[MachineClient],
    server: &ServerConfig,
    credentials: &[CredentialField],
) {
    if sections.len() != clients.len() {
        // Something is wrong with one of them, and said.
        return;
    }
    for (section, client) in sections.iter().zip(clients) {
        if client.plain_http && server.http.is_empty() {
            let hint = "give server.http an address";
            section.problem("plain_http", "there is no plain listener", Some(hint));
        }
        if let Some(MachineKey { place: KeyPlace::Query(name), .. }) = &client.key
            && credentials.iter().any(|field| field.matches(name))
        {
            let message = format!("\"{name}\" is a credential of the portal, which never passes");
            section.problem("key_query", &message, Some("choose another name"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problems, warnings};
    use super::*;

    const PHONES: &str = "[[machine_client]]\nname = \"phones\"\npaths = [\"/cfg/*\"]\n";

    /// R-F4: path, method, address or key.
    #[test]
    fn a_client_is_read() {
        let text = format!(
            "{PHONES}addresses = [\"10.20.0.0/16\"]\nkey = \"0123456789abcdef0123\"\n\
             key_header = \"X-Api-Key\"\n"
        );
        let client = &config(&text).machine_clients[0];
        assert_eq!(
            (client.name.as_str(), client.methods.as_slice()),
            ("phones", &["GET", "HEAD"][..])
        );
        assert!(client.paths.contains("/cfg/0004f2.xml") && !client.plain_http);
        let key = client.key.as_ref().unwrap();
        assert_eq!(key.place, KeyPlace::Header(HeaderName::from_static("x-api-key")));
        assert!(!key.forward && key.secret.expose() == "0123456789abcdef0123");
        assert!(!format!("{client:?}").contains("0123456789"), "{client:?}");
    }

    /// R-F4: nobody is let in by an oversight.
    #[test]
    fn a_client_must_say_who_it_is() {
        for more in [
            "",
            "addresses = []\n",
            "addresses = [\"0.0.0.0/0\"]\n",
            "key = \"\"\n",
            "anyone = false\n",
            "key = \"0123456789abcdef0123\"\n",
            "anyone = true\naddresses = [\"10.0.0.0/8\"]\n",
            "addresses = [\"10.0.0.0/8\"]\nkey_header = \"X-Api-Key\"\n",
            "key = \"0123456789abcdef0123\"\nkey_header = \"X-Api-Key\"\nkey_query = \"k\"\n",
            "key = \"0123456789abcdef0123\"\nkey_header = \"Cookie\"\n",
            "key = \"0123456789abcdef0123\"\nkey_query = \"data[Login][password]\"\n",
            "addresses = [\"10.0.0.0/8\"]\nmethods = []\n",
            "addresses = [\"10.0.0.0/8\"]\nplain_http = true\n",
        ] {
            assert_eq!(problems(&format!("{PHONES}{more}")).len(), 1, "{more}");
        }
        let twice = format!("{PHONES}anyone = true\n{PHONES}anyone = true\n");
        assert!(problems(&twice)[0].contains("two clients called \"phones\""));
        let spaced = PHONES.replace("phones", "my phones") + "anyone = true\n";
        assert!(problems(&spaced)[0].contains("at most 40"));
    }

    #[test]
    fn what_is_risky_is_said() {
        let said = warnings(&format!("{PHONES}anyone = true\n"));
        assert!(said.iter().any(|one| one.contains("everybody reaches these paths")), "{said:?}");
        let said = warnings(&format!(
            "[server]\nhttp = [\"0.0.0.0:80\"]\n{PHONES}key = \"short\"\nkey_query = \"k\"\n\
             plain_http = true\n"
        ));
        for expected in ["short key", "read on its way"] {
            assert!(said.iter().any(|one| one.contains(expected)), "{said:?}");
        }
    }
}
