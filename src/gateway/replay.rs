//! Deterministic random inputs for the property tests, so that the bodies of the fuzz targets also
//! run on a stable toolchain.

/// A small generator (xorshift64*); the same seed gives the same inputs on every machine.
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let word = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(word).unwrap_or(0) % bound.max(1)
    }
}

/// Calls `check` with `rounds` texts that are put together from `pieces` at random.
pub(crate) fn pieces(pieces: &[&str], rounds: usize, mut check: impl FnMut(&str)) {
    let mut draw = Draw::seeded(0x9e37_79b9_7f4a_7c15);
    let mut input = String::new();
    for _ in 0..rounds {
        input.clear();
        for _ in 0..draw.below(12) {
            input.push_str(pieces[draw.below(pieces.len())]);
        }
        check(&input);
    }
}
