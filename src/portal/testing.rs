//! What the room's tests share.

use std::io;
use std::sync::{Arc, Mutex};

use tracing::Dispatch;
use tracing::subscriber::DefaultGuard;

/// Everything that this thread logs, down to `trace`, as long as it lives.
pub(super) struct Log {
    written: Written,
    _guard: DefaultGuard,
    /// With a single subscriber in the process, a message whose first writer is another thread
    /// (of another test, without a subscriber) would be switched off for all.
    _second: Dispatch,
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(super) fn start() -> Self {
        let second = Dispatch::new(tracing_subscriber::registry());
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || writer.clone())
            .finish();
        let guard = tracing::subscriber::set_default(subscriber);
        Self { written, _guard: guard, _second: second }
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.written.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
