//! The proxies that Passgate is compared with.

pub mod auth_service;
pub mod bare_pingora;
pub mod nginx;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};

/// An address that nobody uses, for servers that cannot choose one themselves.
pub async fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// Returns once somebody accepts connections there: these servers do not say when they are ready.
pub async fn accepts(address: SocketAddr) {
    let begun = Instant::now();
    while TcpStream::connect(address).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody listens on {address}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
