//! `[server]`: where we listen, and who we are to the outside.

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use url::Url;

use super::problems::Place;
use super::section::Section;
use super::value::Value;

/// `[server]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// TLS listeners; at least one.
    pub https: Vec<SocketAddr>,
    /// Plain listeners: they redirect to https, but for machine clients.
    pub http: Vec<SocketAddr>,
    /// Metrics, health and the admin API.
    pub admin: SocketAddr,
    /// How browsers reach us; every link we send begins with it. No path.
    pub public_url: Url,
    /// Whose `X-Forwarded-For` or PROXY line is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether connections begin with a PROXY line.
    pub proxy_protocol: bool,
    /// `[[server.certificate]]`; none: a self-signed one is made in the data directory.
    pub certificates: Vec<CertificateFiles>,
}

/// A certificate chain and its key, both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, followed by those that lead to its root.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

pub(super) fn read(section: &Section<'_>) -> Option<ServerConfig> {
    let https = section.list("https", Value::socket_address);
    let http = section.list("http", Value::socket_address).unwrap_or_default();
    let admin =
        section.or("admin", SocketAddr::from(([127, 0, 0, 1], 9180)), Value::socket_address);
    if https.as_ref().is_some_and(Vec::is_empty) {
        section.problem("https", "needs at least one address", Some("https = [\"0.0.0.0:8443\"]"));
    }
    let default = || vec![(SocketAddr::from(([0, 0, 0, 0], 8443)), section.place("https"))];
    let https = https.unwrap_or_else(default);
    refuse_double_addresses(section, &https, &http, admin);
    if !admin.ip().is_loopback() {
        let hint = "bind it to 127.0.0.1, or let a firewall keep everybody else away";
        section.warn("admin", "metrics can be read by whoever reaches this address", Some(hint));
    }
    let trusted_proxies = trusted_proxies(section);
    let proxy_protocol = section.or("proxy_protocol", false, Value::boolean);
    if proxy_protocol && trusted_proxies.is_empty() {
        let hint = "name the load balancers in trusted_proxies";
        section.problem("proxy_protocol", "nobody is trusted to send a PROXY line", Some(hint));
    }
    let certificates = certificates(section);
    let public_url =
        section.required("public_url", "\"https://portal.example.com\"", Value::public_url);
    Some(ServerConfig {
        https: addresses(https),
        http: addresses(http),
        admin,
        public_url: public_url?,
        trusted_proxies,
        proxy_protocol,
        certificates,
    })
}

fn addresses(listed: Vec<(SocketAddr, Place)>) -> Vec<SocketAddr> {
    listed.into_iter().map(|(address, _)| address).collect()
}

/// Two listeners cannot share an address; port 0 is a new one each time.
fn refuse_double_addresses(
    section: &Section<'_>,
    https: &[(SocketAddr, Place)],
    http: &[(SocketAddr, Place)],
    admin: SocketAddr,
) {
    let mut all: Vec<(&str, SocketAddr, Place)> = Vec::new();
    all.extend(https.iter().map(|(address, place)| ("https", *address, place.clone())));
    all.extend(http.iter().map(|(address, place)| ("http", *address, place.clone())));
    all.push(("admin", admin, section.place("admin")));
    for (index, (key, address, place)) in all.iter().enumerate() {
        let clash = all[..index].iter().find(|(_, other, _)| collide(*other, *address));
        if let Some((other_key, other, _)) = clash {
            let message = format!("{address} is already taken by {other} in {other_key}");
            section.problem_at(place.clone(), key, &message, Some("give each its own port"));
        }
    }
}

fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let same_family = one.is_ipv4() == other.is_ipv4();
    let overlap =
        one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && same_family && overlap
}

fn trusted_proxies(section: &Section<'_>) -> Vec<IpNet> {
    let listed = section.list("trusted_proxies", Value::network).unwrap_or_default();
    if listed.iter().any(|(network, _)| network.prefix_len() == 0) {
        section.problem(
            "trusted_proxies",
            "everybody would be believed about the client's address",
            Some("name only the addresses of your own load balancers"),
        );
    }
    listed.into_iter().map(|(network, _)| network).collect()
}

fn certificates(section: &Section<'_>) -> Vec<CertificateFiles> {
    let sections = section.sections("certificate");
    if sections.is_empty() {
        let hint = "add [[server.certificate]] with cert and key before users come";
        section.warn(
            "certificate",
            "none given: browsers will warn of a self-signed one",
            Some(hint),
        );
    }
    sections.iter().filter_map(certificate).collect()
}

fn certificate(section: &Section<'_>) -> Option<CertificateFiles> {
    let cert = section.required("cert", "\"certs/portal.pem\"", Value::filled_text);
    let key = section.required("key", "\"certs/portal.key\"", Value::filled_text);
    Some(CertificateFiles { cert: section.resolve(&cert?), key: section.resolve(&key?) })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problems, warnings};

    #[test]
    fn relative_certificates_are_beside_the_file() {
        let config = config("[[server.certificate]]\ncert = \"a.pem\"\nkey = \"/b.key\"\n");
        let files = &config.server.certificates[0];
        assert_eq!(files.cert.to_str(), Some("/etc/passgate/a.pem"));
        assert_eq!(files.key.to_str(), Some("/b.key"));
    }

    #[test]
    fn a_certificate_needs_both_files() {
        assert_eq!(
            problems("[[server.certificate]]\ncert = \"a.pem\"\n"),
            ["/etc/passgate/passgate.toml:1: server.certificate.key is missing\n  \
              hint: write key = \"certs/portal.key\""]
        );
    }

    /// R-G1: several certificates, in order: the first is also for clients that name no host.
    #[test]
    fn several_certificates_keep_their_order() {
        let one = |name| format!("[[server.certificate]]\ncert = \"{name}\"\nkey = \"{name}\"\n");
        let config = config(&[one("/a"), one("/b")].concat());
        let certs: Vec<_> =
            config.server.certificates.iter().map(|files| files.cert.to_str()).collect();
        assert_eq!(certs, [Some("/a"), Some("/b")]);
    }

    #[test]
    fn a_proxy_line_is_believed_of_named_proxies_only() {
        let trusted = "trusted_proxies = [\"10.0.0.1\", \"10.1.0.0/16\"]\n";
        let config = config(&format!("[server]\nproxy_protocol = true\n{trusted}"));
        assert!(config.server.proxy_protocol && config.server.trusted_proxies.len() == 2);
        let problems = problems("[server]\nproxy_protocol = true\n");
        assert!(problems[0].contains(":2: server.proxy_protocol: nobody is trusted to send"));
    }

    #[test]
    fn two_listeners_on_one_address_are_a_contradiction() {
        let problems = problems(
            "[server]\nhttps = [\"0.0.0.0:443\", \"[::]:443\"]\nhttp = [\n  \"127.0.0.1:80\",\n  \
             \"127.0.0.1:443\",\n]\n",
        );
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(
            problems[0].contains("passgate.toml:5: server.http: 127.0.0.1:443 is already taken")
        );
    }

    #[test]
    fn port_zero_may_be_given_twice() {
        config("[server]\nhttps = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\n");
    }

    /// Trusting every address would let any client choose its own (oauth2-proxy #3506).
    #[test]
    fn nobody_trusts_everybody() {
        let problems = problems("[server]\ntrusted_proxies = [\"0.0.0.0/0\", \"10.1.0.0/8\"]\n");
        assert!(problems[1].contains("everybody would be believed"), "{problems:?}");
        assert!(problems[0].contains("did you mean \"10.0.0.0/8\"?"), "{problems:?}");
    }

    #[test]
    fn no_https_listener_is_an_error() {
        assert!(problems("[server]\nhttps = []\n")[0].contains("server.https: needs at least one"));
    }

    #[test]
    fn an_admin_listener_for_all_is_warned_about() {
        let warnings = warnings("[server]\nadmin = \"0.0.0.0:9180\"\n");
        assert!(
            warnings.iter().any(|warning| warning.contains("server.admin: metrics can be read"))
        );
    }
}
