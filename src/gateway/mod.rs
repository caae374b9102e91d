//! The Pingora side: what happens to each request between the client and the PBX.

mod replay;
pub mod canonical_path;
pub mod client_address;
pub mod cookies;
pub mod framing;
pub mod listeners;
pub mod sanitise;
pub mod tls;
