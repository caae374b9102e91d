//! Where a user may be sent after login: only to a path of this origin (the own pages ask the
//! same rule).

pub use crate::domain::next_path::safe_next;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::canonical_path::canonical;

    /// What passes has one canonical path, so the gateway will not refuse it afterwards.
    #[test]
    fn what_passes_has_a_canonical_path() {
        for next in [
            "/",
            "/portal/home?tab=1&x=%2F%2Fevil.example",
            "/portal/users/edit/1001@abc.11111.service",
            "/a%20b",
            "/portal/caf%C3%A9/",
        ] {
            assert_eq!(safe_next(next), Some(next), "{next}");
            assert!(canonical(next).is_ok(), "{next}");
        }
    }
}
