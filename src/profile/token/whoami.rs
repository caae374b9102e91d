//! Asking the PBX whose a bearer token is (R-F5, R-F6).

use serde_json::Value;

use super::{FoundOwner, OwnerPlaces};
use crate::profile::subscriber::ApiCall;

/// One way to ask.
#[derive(Debug, Clone)]
pub struct WhoAmI {
    pub(in crate::profile) call: ApiCall,
    pub(in crate::profile) owner: OwnerPlaces,
}

impl WhoAmI {
    /// The method.
    pub fn method(&self) -> &str {
        self.call.method()
    }

    /// Path and query.
    pub fn target(&self) -> String {
        self.call.fixed_target()
    }

    /// Media type and body, where there is one.
    pub fn body(&self) -> Option<(&'static str, String)> {
        self.call.fixed_body()
    }

    /// Who is named in the answer's JSON. A list of several users names nobody: managers see
    /// others, too.
    pub fn owner_in(&self, answer: &Value) -> Option<FoundOwner> {
        match answer {
            Value::Array(users) if users.len() != 1 => None,
            _ => self.owner.find(answer, None),
        }
    }
}
