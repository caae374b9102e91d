//! Plain listeners where no machine client is served on them: they send every request to https.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::ServerSettings;
use super::accept::{Door, admit};
use super::connections::Connections;
use super::farewell::answer;
use crate::gateway::framing::{HeadScanner, MAX_HEAD, Progress};

/// The way to the other door.
pub(super) struct RedirectDoor {
    pub(super) settings: Arc<ServerSettings>,
    pub(super) connections: Arc<Connections>,
}

impl Door for RedirectDoor {
    async fn enter(self: Arc<Self>, socket: TcpStream, peer: SocketAddr) {
        // One request per connection, and one limit for all of it.
        let served = tokio::time::timeout(self.settings.limits.header, self.redirect(socket, peer));
        match served.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%peer, %error, "redirect failed"),
            Err(_) => tracing::debug!(%peer, "redirect timed out"),
        }
    }
}

impl RedirectDoor {
    async fn redirect(&self, socket: TcpStream, peer: SocketAddr) -> io::Result<()> {
        let (mut socket, _, _permit) =
            admit(socket, peer, &self.settings, &self.connections).await?;
        let head = read_head(&mut socket).await?;
        match head.as_deref().and_then(|head| location(head, &self.settings)) {
            Some(redirect) => socket.write_all(redirect.as_bytes()).await?,
            None => socket.write_all(answer::BAD_REQUEST).await?,
        }
        socket.shutdown().await?;
        // Unread bytes (a POST's body) would turn our close into a reset that eats the answer.
        let mut rest = [0; 2048];
        for _ in 0..32 {
            if socket.read(&mut rest).await? == 0 {
                break;
            }
        }
        Ok(())
    }
}

/// A complete, sound head; `None` for anything else.
async fn read_head(socket: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut scanner = HeadScanner::new();
    let mut head = Vec::with_capacity(1024);
    while head.len() <= MAX_HEAD {
        let before = head.len();
        if socket.read_buf(&mut head).await? == 0 {
            return Ok(None);
        }
        match scanner.scan(&head[before..]) {
            Ok(Progress::Complete) => return Ok(Some(head)),
            Ok(Progress::Partial) => {}
            Err(_) => return Ok(None),
        }
    }
    Ok(None)
}

/// The redirect for a request. The target comes from the scanner's alphabet (visible ASCII), so it
/// cannot leave its line; the authority comes from the configuration only, never from the client.
fn location(head: &[u8], settings: &ServerSettings) -> Option<String> {
    let head = std::str::from_utf8(&head[..head_end(head)]).ok()?;
    let mut lines = head.trim_start_matches("\r\n").split("\r\n");
    let mut request = lines.next()?.split(' ');
    let method = request.next()?;
    let target = request.next()?;
    if !target.starts_with('/') {
        return None;
    }
    let host = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("host"))
        .map(|(_, value)| host_name(value.trim()))?;
    let base = settings.public_url_by_host.get(&host).unwrap_or(&settings.public_url);
    // 308 keeps the method of a script's POST; browsers cache a 301 just as well, and old clients
    // know nothing else.
    let status = match method {
        "GET" | "HEAD" => "301 Moved Permanently",
        _ => "308 Permanent Redirect",
    };
    Some(format!(
        "HTTP/1.1 {status}\r\nLocation: {base}{target}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    ))
}

fn head_end(head: &[u8]) -> usize {
    head.windows(4).position(|four| four == b"\r\n\r\n").map_or(head.len(), |at| at + 2)
}

/// Lower case, no port, no dot at the end.
pub(in crate::gateway) fn host_name(host: &str) -> String {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> ServerSettings {
        let mut settings = ServerSettings::new("https://portal.example.com:8443");
        settings
            .public_url_by_host
            .insert("voice.acme.example".into(), "https://voice.acme.example".into());
        settings
    }

    fn redirect(head: &str) -> Option<String> {
        location(head.as_bytes(), &settings())
    }

    /// HTTP→HTTPS redirect (R-G1): path and query kept, the host is ours whatever the client says.
    #[test]
    fn redirects_to_our_own_addresses_only() {
        let answer = redirect("GET /a?b=c HTTP/1.1\r\nHost: evil.example\r\n\r\n").unwrap();
        assert!(answer.starts_with("HTTP/1.1 301 "), "{answer}");
        assert!(answer.contains("\r\nLocation: https://portal.example.com:8443/a?b=c\r\n"));
        let answer =
            redirect("POST /x HTTP/1.1\r\nhost: Voice.ACME.example:80\r\n\r\nbody").unwrap();
        assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
        assert!(answer.contains("\r\nLocation: https://voice.acme.example/x\r\n"));
        // `//evil` behind an authority stays a path of that authority.
        let answer = redirect("GET //evil.example/ HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert!(
            answer.contains("\r\nLocation: https://portal.example.com:8443//evil.example/\r\n")
        );
    }

    #[test]
    fn other_targets_are_refused() {
        assert!(redirect("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n").is_none());
        assert!(redirect("GET @evil.example/ HTTP/1.1\r\nHost: a\r\n\r\n").is_none());
        assert!(redirect("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").is_none());
    }
}
