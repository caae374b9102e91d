//! The output for one piece of an answer: the piece itself, if nothing is hidden in it.

use bytes::{Bytes, BytesMut};

/// A piece, and what becomes of it.
pub(super) struct Pieces {
    piece: Bytes,
    /// From here on it is copied; `None` while a value is dropped.
    copied_from: Option<usize>,
    out: BytesMut,
}

impl Pieces {
    pub(super) fn new(piece: Bytes, dropping: bool) -> Self {
        Self { piece, copied_from: (!dropping).then_some(0), out: BytesMut::new() }
    }

    /// The bytes that are read.
    pub(super) fn piece(&self) -> Bytes {
        self.piece.clone()
    }

    /// From `at` on bytes are dropped; `with` stands there instead.
    pub(super) fn replace(&mut self, at: usize, with: &str) {
        if let Some(from) = self.copied_from.take() {
            self.out.extend_from_slice(&self.piece[from..at]);
        }
        self.out.extend_from_slice(with.as_bytes());
    }

    /// From `at` on bytes are copied again.
    pub(super) fn resume(&mut self, at: usize) {
        self.copied_from = Some(at);
    }

    pub(super) fn done(mut self) -> Bytes {
        match self.copied_from {
            Some(from) if self.out.is_empty() => self.piece.slice(from..),
            Some(from) => {
                self.out.extend_from_slice(&self.piece[from..]);
                self.out.freeze()
            }
            None => self.out.freeze(),
        }
    }
}
