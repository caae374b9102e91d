//! The head scanner's verdict does not depend on where the pieces of a head end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use passgate::gateway::framing::{HeadScanner, HeaderBlocks};

fuzz_target!(|input: (u8, &[u8])| {
    let (size, head) = input;
    let size = usize::from(size).max(1);

    let at_once = HeadScanner::new().scan(head);
    let mut scanner = HeadScanner::new();
    let mut in_pieces = scanner.scan(b"");
    for piece in head.chunks(size) {
        in_pieces = scanner.scan(piece);
        if in_pieces.is_err() {
            break;
        }
    }
    assert_eq!(at_once, in_pieces);

    let mut one = HeaderBlocks::new();
    one.follow(head);
    let mut other = HeaderBlocks::new();
    for piece in head.chunks(size) {
        other.follow(piece);
    }
    assert_eq!(one.is_partial(), other.is_partial());
});
