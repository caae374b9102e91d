//! The Pingora side: what happens to each request between the client and the PBX.

pub mod canonical_path;
mod charset;
pub mod client_address;
pub mod client_kind;
pub mod cookies;
pub mod credential_scan;
pub mod framing;
pub mod listeners;
pub mod next_path;
pub mod notice;
pub mod rewrite;
pub mod sanitise;
pub mod security_headers;
pub mod tls;

#[cfg(test)]
mod replay;
