//! The client's address. `X-Forwarded-For` is believed only as far as trusted proxies wrote it.

use std::net::IpAddr;

use ipnet::IpNet;

/// The address of the client behind `peer` (the socket's own address, or the one from the PROXY
/// line).
///
/// If `peer` is a trusted proxy, the rightmost entry of `X-Forwarded-For` that is not itself a
/// trusted proxy is the client: everything left of it was written by somebody we do not know. An
/// entry that cannot be read ends the trust, and the answer is `peer` (authentik CVE-2024-47070).
/// `forwarded_for` are the header's values in the order they were received.
pub fn client_address<'h>(
    peer: IpAddr,
    trusted: &[IpNet],
    forwarded_for: impl DoubleEndedIterator<Item = &'h [u8]>,
) -> IpAddr {
    let peer = peer.to_canonical();
    if !is_trusted(peer, trusted) {
        return peer;
    }
    let mut nearest = peer;
    for value in forwarded_for.rev() {
        let Ok(value) = std::str::from_utf8(value) else { return peer };
        for entry in value.rsplit(',') {
            let Some(address) = parse(entry) else { return peer };
            if !is_trusted(address, trusted) {
                return address;
            }
            nearest = address;
        }
    }
    nearest
}

/// Whether `address` is one of the configured proxies.
pub fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|network| network.contains(&address))
}

/// One entry: an address, alone or with a port, as real proxies write it.
fn parse(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim_matches([' ', '\t']);
    let address = if let Some(bracketed) = entry.strip_prefix('[') {
        let (inside, after) = bracketed.split_once(']')?;
        let port = after.strip_prefix(':');
        if !after.is_empty() && !port.is_some_and(is_port) {
            return None;
        }
        IpAddr::V6(inside.parse().ok()?)
    } else if let Ok(address) = entry.parse() {
        address
    } else {
        let (address, port) = entry.split_once(':')?;
        if !is_port(port) {
            return None;
        }
        IpAddr::V4(address.parse().ok()?)
    };
    Some(address.to_canonical())
}

fn is_port(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, trusted: &[&str], forwarded_for: &[&str]) -> String {
        let trusted: Vec<IpNet> =
            trusted.iter().map(|network| network.parse().expect("network")).collect();
        let peer = peer.parse().expect("address");
        client_address(peer, &trusted, forwarded_for.iter().map(|value| value.as_bytes()))
            .to_string()
    }

    /// Security: "Client address from trusted proxies only".
    #[test]
    fn nobody_is_believed_by_default() {
        assert_eq!(client("203.0.113.7", &[], &["198.51.100.1"]), "203.0.113.7");
        assert_eq!(client("203.0.113.7", &["10.0.0.0/8"], &["198.51.100.1"]), "203.0.113.7");
    }

    #[test]
    fn the_rightmost_address_that_is_not_a_proxy_is_the_client() {
        let trusted = &["10.0.0.0/8", "fd00::/8"];
        for (sent, expected) in [
            (&["198.51.100.1"][..], "198.51.100.1"),
            (&["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
            (&["6.6.6.6", "198.51.100.1"], "198.51.100.1"),
            (&["6.6.6.6, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
            (&["6.6.6.6, 198.51.100.1", "10.0.0.2,fd00::3"], "198.51.100.1"),
            (&["10.0.0.9"], "10.0.0.9"),
            (&[], "10.0.0.1"),
            (&["198.51.100.1:51234"], "198.51.100.1"),
            (&["[2001:db8::1]:51234"], "2001:db8::1"),
            (&["[2001:db8::1]"], "2001:db8::1"),
            (&["2001:db8::1"], "2001:db8::1"),
            (&["::ffff:198.51.100.1"], "198.51.100.1"),
            (&["6.6.6.6, ::ffff:10.0.0.2"], "6.6.6.6"),
        ] {
            assert_eq!(client("10.0.0.1", trusted, sent), expected, "{sent:?}");
        }
        assert_eq!(client("::ffff:10.0.0.1", trusted, &["198.51.100.1"]), "198.51.100.1");
    }

    /// Security: "unparsable → deny trust" (authentik CVE-2024-47070).
    #[test]
    fn an_entry_that_cannot_be_read_ends_the_trust() {
        for sent in [
            "",
            "unknown",
            "198.51.100.1,",
            "198.51.100.1, _hidden",
            "198.51.100.1:",
            "1.2.3",
            "198.51.100.1:99999",
            "[2001:db8::1",
            "[2001:db8::1]x",
            "2001:db8::1]:4",
            "[1.2.3.4]",
            "198.51.100.1 6.6.6.6",
            "127.0.0.01",
            "\"198.51.100.1\"",
        ] {
            assert_eq!(client("10.0.0.1", &["10.0.0.0/8"], &[sent]), "10.0.0.1", "{sent:?}");
        }
        assert_eq!(client("10.0.0.1", &["10.0.0.0/8"], &["6.6.6.6", "x, 10.0.0.2"]), "10.0.0.1");
        // An unreadable part left of the client's own entry was not written by a proxy of ours.
        assert_eq!(client("10.0.0.1", &["10.0.0.0/8"], &["x, 198.51.100.1"]), "198.51.100.1");
    }
}
