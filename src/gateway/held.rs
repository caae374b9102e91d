//! Request bodies that are held back until all of their field names were looked at.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};

/// Most that is held back of one body, in bytes.
const OF_ONE: usize = 1024 * 1024;
/// The same for people who are not signed in: all that they may send is a choice of language.
const OF_VISITORS: usize = 16 * 1024;
/// Most that is held back of all bodies together, in bytes: one client may open many streams.
const OF_ALL: usize = 128 * 1024 * 1024;

/// How much is held back by the whole process now.
#[derive(Debug, Clone, Default)]
pub(super) struct HeldBytes(Arc<AtomicUsize>);

/// What is held back of one body.
#[derive(Debug, Default)]
pub(super) struct HeldBody {
    bytes: BytesMut,
    counted: Option<(HeldBytes, usize)>,
}

impl HeldBody {
    /// Holds a piece back; `false` if that is too much.
    pub(super) fn push(&mut self, piece: &[u8], signed_in: bool, all: &HeldBytes) -> bool {
        let most = if signed_in { OF_ONE } else { OF_VISITORS };
        if self.bytes.len() + piece.len() > most {
            return false;
        }
        let before = all.0.fetch_add(piece.len(), Ordering::Relaxed);
        self.counted.get_or_insert_with(|| (all.clone(), 0)).1 += piece.len();
        if before + piece.len() > OF_ALL {
            return false;
        }
        self.bytes.extend_from_slice(piece);
        true
    }

    /// All of it; `None` if there was nothing.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        self.release();
        (!self.bytes.is_empty()).then(|| self.bytes.split().freeze())
    }

    fn release(&mut self) {
        if let Some((all, bytes)) = self.counted.take() {
            all.0.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

impl Drop for HeldBody {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Memory: bounded for one body, for a stranger's, and for all together; and given back.
    #[test]
    fn what_is_held_is_bounded() {
        let all = HeldBytes::default();
        let piece = vec![b'x'; OF_VISITORS];
        let mut strangers = HeldBody::default();
        assert!(strangers.push(&piece, false, &all) && !strangers.push(b"x", false, &all));

        let whole = vec![b'x'; OF_ONE];
        let mut held: Vec<HeldBody> = Vec::new();
        let accepted = |held: &mut Vec<HeldBody>| {
            let mut body = HeldBody::default();
            let fits = body.push(&whole, true, &all);
            assert!(!fits || !body.push(b"x", true, &all));
            held.push(body);
            fits
        };
        while accepted(&mut held) {
            assert!(held.len() <= OF_ALL / OF_ONE);
        }
        held.truncate(1);
        assert_eq!(held[0].take().map(|body| body.len()), Some(OF_ONE));
        drop(strangers);
        assert_eq!(all.0.load(Ordering::Relaxed), 0);
        assert_eq!(HeldBody::default().take(), None);
    }
}
