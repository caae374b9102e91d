//! Answers of the API: however they are cut, the result is the same, and nothing hidden shows.
#![no_main]

use std::sync::{Arc, LazyLock};

use passgate::profile::{Profile, Redaction};

static RULE: LazyLock<Arc<Redaction>> = LazyLock::new(|| {
    let text = Profile::builtin("netsapiens").unwrap();
    let profile = Profile::parse(text, "netsapiens.toml").unwrap();
    Arc::clone(profile.redaction("/ns-api/").unwrap())
});

libfuzzer_sys::fuzz_target!(|input: (usize, &[u8])| {
    let (cut, answer) = input;
    passgate::gateway::redaction::check_properties(&RULE, answer, cut % (answer.len() + 1));
});
