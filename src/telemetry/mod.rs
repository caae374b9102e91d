//! Everything that Passgate tells about itself: metrics, the log, its stable lines. Imports
//! nothing of ours, so that every room may use it.

pub mod access;
pub mod escape;
pub mod log;
pub mod metrics;
mod request_metrics;
pub mod security;
mod writer;

pub use metrics::Metrics;
pub use security::{SecurityKind, record_security, security_line};
