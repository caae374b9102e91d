//! When an HTTP/2 client is in the middle of a header block.
//!
//! The h2 crate checks what frames say, but waits for the rest of one as long as it takes. This
//! follows the frames' outlines (RFC 9113 §4.1) to know since when a preface, a frame header or a
//! header block (HEADERS and its CONTINUATIONs) is incomplete; the stream limits that time.

const PREFACE: usize = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();
const FRAME_HEAD: usize = 9;
const HEADERS: u8 = 0x1;
const CONTINUATION: u8 = 0x9;
const END_HEADERS: u8 = 0x4;

/// Follows the frames that a client sends.
#[derive(Debug, Clone)]
pub struct HeaderBlocks {
    preface_left: usize,
    frame_head: [u8; FRAME_HEAD],
    frame_head_len: usize,
    payload_left: usize,
    /// The payload in progress belongs to a header block.
    in_headers: bool,
    /// A header block has begun and the frame with `END_HEADERS` has not.
    awaits_more: bool,
}

impl Default for HeaderBlocks {
    fn default() -> Self {
        Self::new()
    }
}

impl HeaderBlocks {
    /// Before the connection preface.
    pub fn new() -> Self {
        Self {
            preface_left: PREFACE,
            frame_head: [0; FRAME_HEAD],
            frame_head_len: 0,
            payload_left: 0,
            in_headers: false,
            awaits_more: false,
        }
    }

    /// Follows the next bytes. Returns whether something was completed in them that had to be
    /// complete in time: from there the time starts anew.
    pub fn follow(&mut self, mut bytes: &[u8]) -> bool {
        let mut completed = false;
        let skipped = self.preface_left.min(bytes.len());
        self.preface_left -= skipped;
        bytes = &bytes[skipped..];
        completed |= skipped > 0 && self.preface_left == 0;
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let taken = self.payload_left.min(bytes.len());
                self.payload_left -= taken;
                bytes = &bytes[taken..];
            } else {
                let taken = (FRAME_HEAD - self.frame_head_len).min(bytes.len());
                let place = self.frame_head_len..self.frame_head_len + taken;
                self.frame_head[place].copy_from_slice(&bytes[..taken]);
                self.frame_head_len += taken;
                bytes = &bytes[taken..];
                if self.frame_head_len == FRAME_HEAD {
                    self.begin_frame();
                    // Frame heads come and go between other frames; only a block's end counts
                    // while a block is open.
                    completed |= !self.in_headers;
                }
            }
            completed |= self.end_of_block();
        }
        completed
    }

    /// Whether the client owes us the rest of something that must not take long.
    pub fn is_partial(&self) -> bool {
        self.preface_left > 0 || self.frame_head_len > 0 || self.in_headers
    }

    fn begin_frame(&mut self) {
        let [a, b, c, kind, flags, ..] = self.frame_head;
        self.frame_head_len = 0;
        self.payload_left = u32::from_be_bytes([0, a, b, c]) as usize;
        if matches!(kind, HEADERS | CONTINUATION) {
            self.in_headers = true;
            self.awaits_more = flags & END_HEADERS == 0;
        }
    }

    fn end_of_block(&mut self) -> bool {
        let ends = self.in_headers && self.payload_left == 0 && !self.awaits_more;
        if ends {
            self.in_headers = false;
        }
        ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFACE_BYTES: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
        frame.extend(vec![0xff; usize::from(length)]);
        frame
    }

    /// After each byte: whether something is owed.
    fn partial_after_each(bytes: &[u8]) -> Vec<bool> {
        let mut blocks = HeaderBlocks::new();
        bytes
            .iter()
            .map(|byte| {
                blocks.follow(&[*byte]);
                blocks.is_partial()
            })
            .collect()
    }

    #[test]
    fn a_client_owes_its_preface_from_the_beginning() {
        let mut blocks = HeaderBlocks::new();
        assert!(blocks.is_partial());
        assert!(!blocks.follow(&PREFACE_BYTES[..23]));
        assert!(blocks.follow(&PREFACE_BYTES[23..]));
        assert!(!blocks.is_partial());
    }

    #[test]
    fn header_blocks_are_owed_and_bodies_are_not() {
        let headers = frame(HEADERS, END_HEADERS, 3);
        let data = frame(0, 0, 3);
        let after = partial_after_each(&[PREFACE_BYTES, &headers, &data].concat());
        let owed: Vec<_> = after[24..].to_vec();
        let mut expected = vec![true; 11];
        expected.push(false);
        expected.extend([true; 8]);
        expected.extend([false; 4]);
        assert_eq!(owed, expected);
    }

    #[test]
    fn a_block_lasts_until_its_last_continuation() {
        let start = [PREFACE_BYTES, &frame(HEADERS, 0, 3)].concat();
        let mut blocks = HeaderBlocks::new();
        blocks.follow(&start);
        assert!(blocks.is_partial());
        assert!(!blocks.follow(&frame(CONTINUATION, 0, 2)), "a drip of these wins no time");
        assert!(blocks.is_partial());
        assert!(blocks.follow(&frame(CONTINUATION, END_HEADERS, 2)));
        assert!(!blocks.is_partial());
    }

    /// The outcome does not depend on where pieces end.
    #[test]
    fn pieces_make_no_difference() {
        let stream = [
            PREFACE_BYTES,
            &frame(4, 0, 0),
            &frame(HEADERS, 0, 9),
            &frame(CONTINUATION, END_HEADERS, 0),
            &frame(0, 0, 200),
            &frame(HEADERS, 0, 1),
        ]
        .concat();
        let byte_by_byte = partial_after_each(&stream);
        for split in 0..stream.len() {
            let mut blocks = HeaderBlocks::new();
            blocks.follow(&stream[..split]);
            if split > 0 {
                assert_eq!(blocks.is_partial(), byte_by_byte[split - 1], "{split}");
            }
            blocks.follow(&stream[split..]);
            assert!(blocks.is_partial());
        }
    }
}
