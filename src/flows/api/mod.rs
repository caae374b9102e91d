//! Requests of the PBX's API: whose token it is and what it may reach, what the PBX is shown for
//! it, and how it ends (R-F3 to R-F6).

pub mod basic;
pub mod bearer;
pub mod owner;
pub mod renew;
pub mod revoke;

use std::net::IpAddr;

use super::pbx::Asker;

/// The door's name in log and metrics.
const CHANNEL: &str = "api";

/// Who sends a request, as the PBX is told when it is asked about it.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// Client address.
    pub client: IpAddr,
    /// The client's `User-Agent`.
    pub user_agent: &'a str,
    /// Public host name of the request.
    pub host: &'a str,
}

impl<'a> Caller<'a> {
    fn asker(self) -> Asker<'a> {
        let Self { client, user_agent, host } = self;
        Asker { client, user_agent, host, language: None }
    }
}
