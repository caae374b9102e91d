//! The Pingora side: what happens to each request between the client and the PBX.

mod access;
mod admission;
mod answer;
mod api_refusal;
mod api_request;
mod bearer;
pub mod canonical_path;
mod charset;
pub mod client_address;
pub mod client_kind;
pub mod cookies;
mod cors;
pub mod credential_scan;
mod entry;
mod exchange;
mod forward;
pub mod framing;
mod gate;
mod held;
mod insertion;
mod intercept;
mod late_form;
pub mod limit;
pub mod listeners;
pub mod machine;
pub mod notice;
mod own_answers;
pub mod pipeline;
pub mod redaction;
mod respond;
pub mod rewrite;
pub mod route;
pub mod sanitise;
pub mod security_headers;
pub mod tls;
pub mod upstreams;
mod validators;
mod visitor;
mod websocket;

#[cfg(test)]
pub(crate) mod replay;
