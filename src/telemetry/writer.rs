//! A log writer that never makes a request wait: lines go through a bounded queue to a thread
//! that writes them. When the disk is full or the reader has stopped, lines are dropped and
//! counted; requests go on.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait. At 200 bytes each this is 1.6 MB at worst.
const QUEUE: usize = 8192;

/// How long the end of the process waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(2);

enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// Handle of the queue; clones share it.
#[derive(Clone)]
pub(super) struct QueueWriter {
    queue: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

impl QueueWriter {
    /// Starts the writing thread. The guard waits for the last lines when it is dropped.
    pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<(Self, FlushOnDrop)> {
        let (queue, lines) = sync_channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let writer = Self { queue, dropped: Arc::clone(&dropped) };
        let thread = std::thread::Builder::new()
            .name("passgate-log".into())
            .spawn(move || write_lines(out, &lines, &dropped))?;
        let guard = FlushOnDrop { writer: writer.clone(), _thread: thread };
        Ok((writer, guard))
    }

    fn flush(&self) {
        let (done, wait) = sync_channel(1);
        let deadline = Instant::now() + LAST_LINES;
        let mut message = Message::Flush(done);
        // The queue may be full because its reader is stuck: ask again for a bounded time.
        while let Err(refused) = self.queue.try_send(message) {
            let std::sync::mpsc::TrySendError::Full(back) = refused else { return };
            if Instant::now() >= deadline {
                return;
            }
            message = back;
            std::thread::yield_now();
        }
        // Nobody is left to be told that the last lines could not be written.
        let _: Result<(), RecvTimeoutError> =
            wait.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

impl Write for QueueWriter {
    /// One call is one line: tracing-subscriber formats an event completely before it writes.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.queue.try_send(Message::Line(line.to_vec())).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for QueueWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Keeps the log open; dropping it waits for the last lines, but not for ever.
#[must_use = "dropping it at once loses the last lines of the log"]
pub struct FlushOnDrop {
    writer: QueueWriter,
    _thread: JoinHandle<()>,
}

impl Drop for FlushOnDrop {
    fn drop(&mut self) {
        self.writer.flush();
    }
}

fn write_lines(mut out: impl Write, lines: &Receiver<Message>, dropped: &AtomicU64) {
    while let Ok(message) = lines.recv() {
        match message {
            Message::Line(line) => {
                if out.write_all(&line).is_err() {
                    dropped.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                let lost = dropped.swap(0, Ordering::Relaxed);
                if lost > 0 && writeln!(out, "passgate: {lost} log lines were lost").is_err() {
                    dropped.fetch_add(lost, Ordering::Relaxed);
                }
            }
            Message::Flush(done) => {
                // A disk that is full now stays full; the caller only waits for the attempt.
                let _: io::Result<()> = out.flush();
                let _: Result<(), _> = done.try_send(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<(Vec<u8>, bool)>>);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut disk = self.0.lock().unwrap();
            if disk.1 {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            disk.0.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Faults: disk of the log full → requests go on; the log says afterwards what is missing.
    #[test]
    fn a_full_disk_loses_lines_and_says_so() {
        let disk = Disk::default();
        let (mut writer, guard) = QueueWriter::start(disk.clone()).unwrap();
        disk.0.lock().unwrap().1 = true;
        for _ in 0..3 {
            writer.write_all(b"lost\n").unwrap();
        }
        writer.flush_for_test();
        disk.0.lock().unwrap().1 = false;
        writer.write_all(b"kept\n").unwrap();
        drop(guard);
        let text = String::from_utf8(disk.0.lock().unwrap().0.clone()).unwrap();
        assert_eq!(text, "kept\npassgate: 3 log lines were lost\n");
    }

    struct Stuck(Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Released when the test ends and drops its sender.
            let _: Result<(), _> = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Faults: a reader that has stopped (a stuck pipe) blocks nobody.
    #[test]
    fn a_stuck_reader_blocks_nobody() {
        let (release, wait) = sync_channel(0);
        let (mut writer, guard) = QueueWriter::start(Stuck(wait)).unwrap();
        let begun = Instant::now();
        for _ in 0..QUEUE * 2 {
            writer.write_all(b"line\n").unwrap();
        }
        assert!(begun.elapsed() < Duration::from_secs(2));
        assert!(writer.dropped.load(Ordering::Relaxed) >= QUEUE as u64 - 1);
        drop(release);
        drop(guard);
    }

    impl QueueWriter {
        fn flush_for_test(&self) {
            self.flush();
        }
    }
}
