//! A PBX whose answers under some paths are written by the test, byte for byte; everything else
//! is answered by the example portal behind it.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::Pbx;

pub struct Scripted {
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Scripted {
    /// Requests whose path begins with `prefix` are given to `script`, with their head and
    /// whatever of the body came with it.
    pub async fn start<F, R>(pbx: &Pbx, prefix: &'static str, script: F) -> Self
    where
        F: Fn(String, TcpStream) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (portal, script) = (pbx.0.addr(), Arc::new(script));
        let task = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let script = Arc::clone(&script);
                tokio::spawn(async move {
                    let Some(head) = read_head(&mut client).await else { return };
                    if head.split(' ').nth(1).is_some_and(|path| path.starts_with(prefix)) {
                        script(head, client).await;
                    } else {
                        pass(&head, client, portal).await;
                    }
                });
            }
        });
        Self { address, task }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read_head(client: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        if client.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    String::from_utf8(head).ok()
}

/// One request for each connection, so that each path is looked at.
async fn pass(head: &str, mut client: TcpStream, portal: SocketAddr) {
    let Ok(mut portal) = TcpStream::connect(portal).await else { return };
    let head = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    if portal.write_all(head.as_bytes()).await.is_ok() {
        // Either end may hang up at any time.
        let _ = tokio::io::copy_bidirectional(&mut client, &mut portal).await;
    }
}
