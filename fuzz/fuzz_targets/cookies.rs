//! `Cookie` and `Set-Cookie` fields: nothing of ours or of the jar gets through, nothing else is
//! lost.
#![no_main]

libfuzzer_sys::fuzz_target!(|header: &[u8]| {
    passgate::gateway::cookies::check_properties(header);
});
