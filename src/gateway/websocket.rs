//! As much of RFC 6455 as is needed to tell a user's message from a heartbeat.

/// Whether bytes from the client begin a frame that carries a message. Ping, pong and close keep
/// a connection alive, not a session (R-C4). Pieces that begin inside a frame count as messages:
/// heartbeats are single short frames.
pub(super) fn is_interaction(bytes: &[u8]) -> bool {
    const CLOSE: u8 = 0x8;
    const PING: u8 = 0x9;
    const PONG: u8 = 0xA;
    match bytes.first() {
        Some(first) if first & 0x80 != 0 => !matches!(first & 0x0F, CLOSE | PING | PONG),
        Some(_) => true,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_interaction;

    #[test]
    fn heartbeats_are_not_interaction() {
        assert!(is_interaction(&[0x81, 0x85, 1, 2, 3, 4]));
        assert!(is_interaction(&[0x82, 0x80]));
        for control in [0x88, 0x89, 0x8A] {
            assert!(!is_interaction(&[control, 0x80, 1, 2, 3, 4]), "{control:x}");
        }
        assert!(!is_interaction(&[]));
    }
}
