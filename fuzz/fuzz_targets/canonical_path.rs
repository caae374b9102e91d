//! Request targets: the canonical form is a fixed point and has one meaning.
#![no_main]

libfuzzer_sys::fuzz_target!(|target: &str| {
    passgate::gateway::canonical_path::check_properties(target);
});
