//! Speaks to the PBX's portal on a user's behalf: logs in on a fresh session, and out.

mod client;
mod driver;
mod location;
mod login_form;
mod login_request;
mod page_form;
mod subscribers;
mod tokens;
mod upstream;

pub use driver::LoginDriver;
pub use subscribers::{AdminAccess, PbxSubscribers};
pub use tokens::PbxTokenIssuer;
pub use upstream::{HostHeader, UpstreamSettings};

#[cfg(test)]
#[cfg(feature = "demo")]
mod demo_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
pub(crate) use testing::{NoSubscribers, NoTokens};
