//! Bodies: however they are cut, the verdict is the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: (usize, &[u8])| {
    let (cut, body) = input;
    passgate::gateway::credential_scan::check_properties(body, cut % (body.len() + 1));
});
