//! The head scanner's verdict does not depend on where the pieces of a head end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use passgate::gateway::framing::check_properties;

fuzz_target!(|input: (u8, &[u8])| {
    let (size, head) = input;
    check_properties(head, usize::from(size));
});
