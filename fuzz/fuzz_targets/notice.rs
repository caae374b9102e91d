//! Pages: however they are cut, the result is the same, and the page itself is unchanged.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: (usize, &[u8])| {
    let (cut, page) = input;
    passgate::gateway::notice::check_properties(page, cut % (page.len() + 1));
});
