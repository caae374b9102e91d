//! Randomness of the operating system.

use crate::ports::Random;

/// The operating system's cryptographically secure source.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsRandom;

impl Random for OsRandom {
    #[allow(
        clippy::expect_used,
        reason = "without randomness no session, salt or nonce is safe: there is no way to go on"
    )]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system's random source answers");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        let random: &dyn Random = &OsRandom;
        assert_ne!(random.bytes::<32>(), random.bytes::<32>());
    }
}
