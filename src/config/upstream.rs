//! `[upstream]`: the PBX.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use url::Host;

use super::section::Section;
use super::server::ServerConfig;
use super::value::{HOUR, Value, Wrong, bare_origin, parse_url, wrong_but};

/// `[upstream]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// The PBX's servers; at least one.
    pub servers: Vec<ServerUrl>,
    /// Trust anchors (PEM) for https servers; `None`: the usual public ones.
    pub ca: Option<PathBuf>,
    /// What the PBX sees as `Host`.
    pub host: HostPolicy,
    /// Further names by which the PBX calls itself in redirects, lower-case.
    pub aliases: Vec<String>,
    /// Patience for a connection, TLS included.
    pub connect_timeout: Duration,
    /// Patience for the beginning of an answer, and between its parts.
    pub response_timeout: Duration,
}

/// The address of one PBX server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerUrl {
    /// Whether it is spoken to by TLS.
    pub tls: bool,
    /// Name or IP address; an IPv6 address without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// What the PBX sees as `Host`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPolicy {
    /// What the browser sent.
    Preserve,
    /// Always this name; `Origin` and `Referer` are rewritten with it.
    Fixed(String),
}

impl ServerUrl {
    /// `host:port`, as for a connection; an IPv6 address in brackets.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.tls { "https" } else { "http" }, self.authority())
    }
}

pub(super) fn read(section: &Section<'_>) -> Option<UpstreamConfig> {
    let ca = section.path("ca");
    let host = section.or("host", HostPolicy::Preserve, host_policy);
    let aliases = section.plain_list("aliases", Value::host_name);
    let millisecond = Duration::from_millis(1);
    let connect = |value: Value<'_>| value.duration(millisecond..=HOUR);
    let connect_timeout = section.or("connect_timeout", Duration::from_secs(5), connect);
    let response_timeout = section.or("response_timeout", Duration::from_secs(60), connect);
    let servers = servers(section)?;
    if ca.is_some() && servers.iter().all(|server| !server.tls) {
        let hint = "write https:// in servers, or take ca away";
        section.problem("ca", "no server is spoken to by TLS", Some(hint));
    }
    Some(UpstreamConfig { servers, ca, host, aliases, connect_timeout, response_timeout })
}

/// A server that is one of our own listeners would be an endless loop.
pub(super) fn refuse_ourselves(
    section: &Section<'_>,
    upstream: &UpstreamConfig,
    server: &ServerConfig,
) {
    let listeners = || server.https.iter().chain(&server.http);
    for url in &upstream.servers {
        let address = match url.host.as_str() {
            "localhost" => IpAddr::from([127, 0, 0, 1]),
            host => match host.parse() {
                Ok(address) => address,
                Err(_) => continue,
            },
        };
        // On one machine, the PBX may have the same port on another address.
        let is_ours = listeners().any(|listener| {
            let everywhere = listener.ip().is_unspecified() && address.is_loopback();
            listener.port() == url.port && (listener.ip() == address || everywhere)
        });
        if is_ours {
            let message = format!("{url} is Passgate itself");
            section.problem("servers", &message, Some("name the PBX's own address"));
        }
    }
}

fn servers(section: &Section<'_>) -> Option<Vec<ServerUrl>> {
    const EXAMPLE: &str = "[\"http://127.0.0.1:9080\"]";
    if !section.has("servers") {
        section.required("servers", EXAMPLE, |_| Ok(()));
        return None;
    }
    let listed = section.list("servers", server_url)?;
    if listed.is_empty() {
        // Either an empty list, or every element was wrong and has been reported.
        section.problem("servers", "no server that can be used", Some(EXAMPLE));
        return None;
    }
    for (index, (url, place)) in listed.iter().enumerate() {
        if listed[..index].iter().any(|(other, _)| other == url) {
            section.problem_at(place.clone(), "servers", &format!("{url} is given twice"), None);
        }
    }
    Some(listed.into_iter().map(|(url, _)| url).collect())
}

fn server_url(value: Value<'_>) -> Result<ServerUrl, Wrong> {
    let text = value.text()?;
    let url = parse_url(text)?;
    let tls = match url.scheme() {
        "https" => true,
        "http" => false,
        _ => {
            let hint = format!("did you mean \"http://{text}\"?");
            return wrong_but(format!("\"{text}\" must begin with http:// or https://"), hint);
        }
    };
    bare_origin(&url, text)?;
    let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
        return wrong_but(format!("\"{text}\" has no host"), "http://127.0.0.1:9080");
    };
    let host = match host {
        Host::Domain(name) => name.to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    };
    Ok(ServerUrl { tls, host, port })
}

fn host_policy(value: Value<'_>) -> Result<HostPolicy, Wrong> {
    match value.text()? {
        "preserve" => Ok(HostPolicy::Preserve),
        _ => value.host_name().map(HostPolicy::Fixed),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problems};
    use super::*;

    #[test]
    fn servers_are_taken_apart() {
        let config = config(
            "[upstream]\nservers = [\"https://pbx.example\", \"http://[::1]:9080\"]\n\
             host = \"PBX.example\"\n",
        );
        let [one, other] = config.upstream.servers.as_slice() else { panic!("two servers") };
        assert_eq!((one.tls, one.host.as_str(), one.port), (true, "pbx.example", 443));
        assert_eq!(other.authority(), "[::1]:9080");
        assert_eq!(other.to_string(), "http://[::1]:9080");
        assert_eq!(config.upstream.host, HostPolicy::Fixed("pbx.example".to_owned()));
    }

    #[test]
    fn all_unusable_servers_are_named_with_their_lines() {
        let problems = problems(
            "[upstream]\nservers = [\n  \"127.0.0.1:9080\",\n  \"http://pbx/portal\",\n  \
             \"http://a\",\n  \"http://a:80\",\n]\nca = \"ca.pem\"\n",
        );
        assert_eq!(problems.len(), 4, "{problems:?}");
        for (problem, expected) in problems.iter().zip([
            ":3: upstream.servers: \"127.0.0.1:9080\" is not a URL",
            ":4: upstream.servers: \"http://pbx/portal\" must end after the host",
            ":6: upstream.servers: http://a:80 is given twice",
            ":8: upstream.ca: no server is spoken to by TLS",
        ]) {
            assert!(problem.contains(expected), "{problem}");
        }
    }

    #[test]
    fn passgate_is_not_its_own_upstream() {
        let problems = problems("[upstream]\nservers = [\"https://localhost:8443\"]\n");
        assert!(problems[0].contains("is Passgate itself"), "{problems:?}");
        let beside = "[server]\nhttps = [\"192.0.2.7:443\"]\n[upstream]\nservers = [\"https://127.0.0.1\"]\n";
        config(beside);
    }

    /// A password in the address is not repeated.
    #[test]
    fn a_password_in_the_address_is_refused_and_not_shown() {
        let problems = problems("[upstream]\nservers = [\"http://u:canary@pbx\"]\n");
        assert!(problems[0].contains("must not contain a user name"), "{problems:?}");
        assert!(!problems.concat().contains("canary"));
    }

    #[test]
    fn timeouts_have_bounds() {
        let problems = problems("[upstream]\nconnect_timeout = \"0s\"\nresponse_timeout = 60\n");
        assert!(problems[0].contains("must be from \"1ms\" to \"1h\", not \"0s\""), "{problems:?}");
        assert!(problems[1].contains("a number without a unit\n  hint: write a number and a unit"));
    }
}
