//! Speaks to the PBX's portal on a user's behalf: logs in on a fresh session, and out.

mod client;
mod driver;
mod location;
mod login_form;
mod login_request;
mod subscribers;

pub use driver::{HostHeader, LoginDriver, UpstreamSettings};
pub use subscribers::NoSubscribers;

#[cfg(test)]
#[cfg(feature = "demo")]
mod demo_tests;
