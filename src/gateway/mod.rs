//! The Pingora side: what happens to each request between the client and the PBX.

pub mod canonical_path;
pub mod client_address;
pub mod cookies;
pub mod sanitise;

#[cfg(test)]
mod replay;
