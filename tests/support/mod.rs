//! The vocabulary of the tests: `Pbx`, `Gateway`, `Client`. Every address is ephemeral, every
//! directory temporary; time is moved, never waited for.

mod admin;
mod app;
mod axe;
mod browser;
mod certificates;
mod client;
mod demo;
mod desktop;
mod gateway;
mod mailed;
mod pbx;
mod raw;
mod scripted;
pub mod shapes;
mod smtp;
pub mod tour;
mod websocket;
mod words;

pub use app::{APP, App, MARK, Said, Shape, TOKEN};
pub use axe::Practices;
pub use browser::{Browser, Scheme, Screen, THEMES};
pub use client::{Answer, Client};
pub use demo::Demo;
pub use desktop::Desktop;
pub use gateway::{Gateway, NOTHING_ADDED, Settings, passgate};
pub use mailed::Mailed;
pub use pbx::{ABC_COMPANY, PHASES, PORTAL_ADMIN, Pbx, Person, alice, at};
pub use raw::{Raw, RawAnswer};
pub use scripted::Scripted;
pub use smtp::{MailTls, Received, Smtp};
pub use websocket::Socket;
pub use words::Words;

/// Waits until `condition` holds; far longer than it can take, it fails.
pub async fn until<F: Future<Output = bool>>(condition: impl Fn() -> F) {
    let patience = std::time::Duration::from_secs(30);
    let met = tokio::time::timeout(patience, async {
        while !condition().await {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    });
    assert!(met.await.is_ok(), "the condition was never met");
}

/// A second host name of every gateway, for a brand.
pub const BRAND_HOST: &str = "voice.acme.example";
