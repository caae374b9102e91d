//! Speaks to the PBX's portal on a user's behalf: logs in on a fresh session, and out.

mod client;
mod driver;
mod location;
mod login_form;
mod login_request;

pub use driver::{HostHeader, LoginDriver, UpstreamSettings};

#[cfg(test)]
#[cfg(feature = "demo")]
mod demo_tests;
