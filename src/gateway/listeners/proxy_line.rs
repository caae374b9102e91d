//! The PROXY protocol, versions 1 and 2: who the client behind a load balancer is.
//! [HAProxy, "The PROXY protocol", 2020/03/05]

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

const V2_SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// "A buffer of 108 bytes is always enough" (version 1, with the terminating zero).
const V1_MAX: usize = 107;
/// Addresses take 36 bytes; the rest are extensions nobody needs here, so there is no reason to
/// read the 64 KiB that the format allows.
const V2_MAX: usize = 4096;

/// Reads the header that a trusted proxy must send before anything else, and not one byte more.
/// `None`: the proxy speaks for itself (health check), or does not know the client.
///
/// # Errors
/// `InvalidData` for anything that is not a PROXY header; else what the socket says.
pub(super) async fn read(socket: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut start = [0; V2_SIGNATURE.len()];
    socket.read_exact(&mut start).await?;
    if start == V2_SIGNATURE {
        let mut head = [0; 4];
        socket.read_exact(&mut head).await?;
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        if length > V2_MAX {
            return Err(invalid());
        }
        let mut block = vec![0; length];
        socket.read_exact(&mut block).await?;
        return parse_v2(head[0], head[1], &block);
    }
    // Version 1 is a line of unknown length with TLS right behind it: read byte by byte.
    let mut line = Vec::with_capacity(V1_MAX);
    line.extend_from_slice(&start);
    while !line.ends_with(b"\r\n") {
        if line.len() >= V1_MAX || !line.starts_with(b"PROXY ") {
            return Err(invalid());
        }
        line.push(socket.read_u8().await?);
    }
    line.truncate(line.len() - 2);
    parse_v1(&line)
}

/// `PROXY TCP4 203.0.113.7 192.0.2.1 51000 443`.
fn parse_v1(line: &[u8]) -> io::Result<Option<SocketAddr>> {
    let line = std::str::from_utf8(line).map_err(|_| invalid())?;
    let words: Vec<&str> = line.split(' ').collect();
    let (source, source_port) = match words[..] {
        ["PROXY", "UNKNOWN", ..] => return Ok(None),
        ["PROXY", "TCP4", source, target, source_port, target_port] => {
            word::<Ipv4Addr>(target).and(port(target_port))?;
            (IpAddr::from(word::<Ipv4Addr>(source)?), source_port)
        }
        ["PROXY", "TCP6", source, target, source_port, target_port] => {
            word::<Ipv6Addr>(target).and(port(target_port))?;
            (IpAddr::from(word::<Ipv6Addr>(source)?), source_port)
        }
        _ => return Err(invalid()),
    };
    Ok(Some(SocketAddr::new(source.to_canonical(), port(source_port)?)))
}

fn word<T: std::str::FromStr>(text: &str) -> io::Result<T> {
    text.parse().map_err(|_| invalid())
}

/// A port without a sign, which Rust's own parser would take.
fn port(text: &str) -> io::Result<u16> {
    if text.starts_with('+') { Err(invalid()) } else { word(text) }
}

fn parse_v2(version_command: u8, family: u8, block: &[u8]) -> io::Result<Option<SocketAddr>> {
    match version_command {
        0x20 => return Ok(None),
        0x21 => {}
        _ => return Err(invalid()),
    }
    let (ip, port): (IpAddr, [u8; 2]) = match (family, block) {
        (0x11, [a, b, c, d, _, _, _, _, high, low, _, _, ..]) => {
            (Ipv4Addr::new(*a, *b, *c, *d).into(), [*high, *low])
        }
        (0x21, block) if block.len() >= 36 => {
            let source: [u8; 16] = block[..16].try_into().map_err(|_| invalid())?;
            (Ipv6Addr::from(source).into(), [block[32], block[33]])
        }
        // Unspecified, UDP and Unix sockets: "the receiver must … use the real connection".
        (0x00 | 0x12 | 0x22 | 0x31 | 0x32, _) => return Ok(None),
        _ => return Err(invalid()),
    };
    Ok(Some(SocketAddr::new(ip.to_canonical(), u16::from_be_bytes(port))))
}

fn invalid() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no PROXY header from a trusted proxy")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_all(bytes: &[u8]) -> (io::Result<Option<SocketAddr>>, Vec<u8>) {
        let mut rest = bytes;
        let client = read(&mut rest).await;
        (client, rest.to_vec())
    }

    fn v2(version_command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let mut bytes = V2_SIGNATURE.to_vec();
        bytes.extend([version_command, family]);
        bytes.extend(u16::try_from(block.len()).unwrap().to_be_bytes());
        bytes.extend(block);
        bytes
    }

    fn client(text: &str) -> Option<SocketAddr> {
        Some(text.parse().unwrap())
    }

    /// The client's address comes from the PROXY line; the first byte of TLS stays unread.
    #[tokio::test]
    async fn version_1() {
        for (line, expected) in [
            ("PROXY TCP4 203.0.113.7 192.0.2.1 51000 443", client("203.0.113.7:51000")),
            ("PROXY TCP6 2001:db8::7 2001:db8::1 51000 443", client("[2001:db8::7]:51000")),
            ("PROXY TCP6 ::ffff:203.0.113.7 ::1 1 2", client("203.0.113.7:1")),
            ("PROXY UNKNOWN", None),
            ("PROXY UNKNOWN ffff::1 ffff::2 1 2", None),
        ] {
            let (address, rest) = read_all(format!("{line}\r\n\x16\x03\x01").as_bytes()).await;
            assert_eq!(address.unwrap(), expected, "{line}");
            assert_eq!(rest, b"\x16\x03\x01");
        }
    }

    #[tokio::test]
    async fn nonsense_is_refused() {
        for bytes in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "PROXY TCP4 203.0.113.7 192.0.2.1 51000\r\n",
            "PROXY TCP4 203.0.113.7 192.0.2.1 51000 443 1\r\n",
            "PROXY TCP4 203.0.113.7 192.0.2.1 +1 443\r\n",
            "PROXY TCP4 2001:db8::7 192.0.2.1 1 443\r\n",
            "PROXY TCP5 203.0.113.7 192.0.2.1 1 443\r\n",
            "PROXY  TCP4 203.0.113.7 192.0.2.1 1 443\r\n",
            "PROXY TCP4 203.0.113.7 192.0.2.1 70000 443\r\n",
        ] {
            assert!(read_all(bytes.as_bytes()).await.0.is_err(), "{bytes:?}");
        }
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(200));
        assert!(read_all(long.as_bytes()).await.0.is_err());
    }

    #[tokio::test]
    async fn version_2() {
        let v4 = [203, 0, 113, 7, 192, 0, 2, 1, 0xC7, 0x38, 1, 0xBB];
        let mut with_extension = v4.to_vec();
        with_extension.extend([0x04, 0, 1, 0]);
        let mut v6 = Vec::new();
        v6.extend("2001:db8::7".parse::<Ipv6Addr>().unwrap().octets());
        v6.extend("2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
        v6.extend([0xC7, 0x38, 1, 0xBB]);
        for (bytes, expected) in [
            (v2(0x21, 0x11, &v4), client("203.0.113.7:51000")),
            (v2(0x21, 0x11, &with_extension), client("203.0.113.7:51000")),
            (v2(0x21, 0x21, &v6), client("[2001:db8::7]:51000")),
            (v2(0x20, 0x00, &[]), None),
            (v2(0x21, 0x31, &[0; 216]), None),
        ] {
            let mut stream = bytes.clone();
            stream.push(0x16);
            let (address, rest) = read_all(&stream).await;
            assert_eq!(address.unwrap(), expected, "{bytes:?}");
            assert_eq!(rest, [0x16]);
        }
        for bytes in [
            v2(0x11, 0x11, &v4),
            v2(0x22, 0x11, &v4),
            v2(0x21, 0x11, &v4[..8]),
            v2(0x21, 0x13, &v4),
        ] {
            assert!(read_all(&bytes).await.0.is_err(), "{bytes:?}");
        }
        let mut huge = V2_SIGNATURE.to_vec();
        huge.extend([0x21, 0x11, 0xff, 0xff]);
        huge.extend(vec![0; 70_000]);
        assert!(read_all(&huge).await.0.is_err());
    }
}
