//! The incremental scanner of one HTTP/1 request head.
//!
//! It keeps no bytes and allocates nothing: values it has no interest in are skipped with
//! `memchr`. It may be fed the head in pieces of any size; the verdict does not depend on where
//! the pieces end (tested, and the property that its fuzz target checks).

use super::{MAX_FIELDS, MAX_HEAD, Refusal};

/// Scans the head of one request. Make a new one for the next request.
#[derive(Debug, Clone)]
pub struct HeadScanner {
    state: State,
    /// Bytes of the head so far.
    seen: usize,
    fields: usize,
    version_minor: u8,
    hosts: usize,
    length: bool,
    encoding: bool,
    upgrade: bool,
    name: Name,
}

/// How far the head has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// More bytes are needed.
    Partial,
    /// The head is complete and sound; what follows is body.
    Complete,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the request line: one empty line is tolerated (RFC 9112 §2.2).
    Start,
    EmptyLineCr,
    FirstByte,
    Method(u8),
    Target {
        empty: bool,
    },
    Version(u8),
    VersionEnd,
    LineFeed,
    LineStart,
    FieldName,
    Value,
    Length {
        digits: u8,
        after: bool,
    },
    Encoding {
        matched: u8,
        after: bool,
    },
    LastLineFeed,
    Complete,
}

/// The beginning of a field name: enough to recognise those that matter.
#[derive(Debug, Clone, Copy)]
struct Name {
    bytes: [u8; LONGEST],
    len: usize,
}

const LONGEST: usize = "transfer-encoding".len();
const VERSION: &[u8] = b"HTTP/1.";
const CHUNKED: &[u8] = b"chunked";
/// Registered methods have at most 17 letters.
const MAX_METHOD: u8 = 32;

impl Default for HeadScanner {
    fn default() -> Self {
        Self::new()
    }
}

impl HeadScanner {
    /// Ready for the first byte of a request.
    pub fn new() -> Self {
        Self {
            state: State::Start,
            seen: 0,
            fields: 0,
            version_minor: 1,
            hosts: 0,
            length: false,
            encoding: false,
            upgrade: false,
            name: Name { bytes: [0; LONGEST], len: 0 },
        }
    }

    /// Looks at the next bytes of the connection. Bytes after the head are not looked at.
    ///
    /// # Errors
    /// The first thing that is wrong; the scanner is of no further use then.
    #[inline]
    pub fn scan(&mut self, bytes: &[u8]) -> Result<Progress, Refusal> {
        if self.state == State::Complete {
            return Ok(Progress::Complete);
        }
        self.scan_head(bytes)
    }

    /// Whether a request has begun that is not complete: the time limit runs.
    pub fn is_partial(&self) -> bool {
        self.seen > 0 && self.state != State::Complete
    }

    /// Whether the head is complete.
    pub fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// Whether the request asks to change the protocol.
    pub fn asks_upgrade(&self) -> bool {
        self.upgrade
    }

    fn scan_head(&mut self, bytes: &[u8]) -> Result<Progress, Refusal> {
        let mut at = 0;
        while at < bytes.len() {
            if self.state == State::Value {
                // The long stretches of a head are values nobody here needs to know.
                let rest = &bytes[at..];
                let Some(end) = memchr::memchr3(b'\r', b'\n', 0, rest) else {
                    self.count(rest.len())?;
                    break;
                };
                self.count(end)?;
                at += end;
            } else {
                let run = self.run(&bytes[at..]);
                self.count(run)?;
                at += run;
                if at == bytes.len() {
                    break;
                }
            }
            self.count(1)?;
            self.state = self.step(bytes[at])?;
            at += 1;
            if self.state == State::Complete {
                self.verdict()?;
                return Ok(Progress::Complete);
            }
        }
        Ok(Progress::Partial)
    }

    /// Takes in the bytes that leave the state as it is, in the two states in which there are many,
    /// and says how many they are.
    #[inline]
    fn run(&mut self, rest: &[u8]) -> usize {
        match self.state {
            State::Target { empty: false } => {
                let end = rest.iter().position(|byte| !matches!(byte, 0x21..=0x7e));
                end.unwrap_or(rest.len())
            }
            State::FieldName => {
                let end = rest.iter().position(|byte| !is_token(*byte)).unwrap_or(rest.len());
                self.name.push_all(&rest[..end]);
                end
            }
            _ => 0,
        }
    }

    fn count(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.seen += bytes;
        if self.seen > MAX_HEAD { Err(Refusal::TooLarge) } else { Ok(()) }
    }

    #[inline]
    fn step(&mut self, byte: u8) -> Result<State, Refusal> {
        match self.state {
            State::Start if byte == b'\r' => Ok(State::EmptyLineCr),
            State::Start | State::FirstByte => match byte {
                b'\n' => Err(Refusal::LineEnd),
                _ if is_token(byte) => Ok(State::Method(1)),
                _ => Err(Refusal::RequestLine),
            },
            State::EmptyLineCr => line_feed(byte, State::FirstByte),
            State::Method(length) => match byte {
                b' ' => Ok(State::Target { empty: true }),
                _ if is_token(byte) && length < MAX_METHOD => Ok(State::Method(length + 1)),
                _ => Err(Refusal::RequestLine),
            },
            State::Target { empty } => match byte {
                b' ' if !empty => Ok(State::Version(0)),
                0x21..=0x7e => Ok(State::Target { empty: false }),
                b'\r' | b'\n' if !empty => Err(Refusal::Version),
                _ => Err(Refusal::RequestLine),
            },
            State::Version(matched) => self.version(byte, matched),
            State::VersionEnd => match byte {
                b'\r' => Ok(State::LineFeed),
                b'\n' => Err(Refusal::LineEnd),
                _ => Err(Refusal::Version),
            },
            State::LineFeed => line_feed(byte, State::LineStart),
            State::LineStart => self.line_start(byte),
            State::FieldName => self.field_name(byte),
            State::Value => match byte {
                b'\r' => Ok(State::LineFeed),
                b'\n' => Err(Refusal::LineEnd),
                _ => Err(Refusal::FieldValue),
            },
            State::Length { digits, after } => match byte {
                b'0'..=b'9' if !after && digits < 19 => {
                    Ok(State::Length { digits: digits + 1, after })
                }
                b' ' | b'\t' => Ok(State::Length { digits, after: digits > 0 }),
                b'\r' if digits > 0 => Ok(State::LineFeed),
                b'\n' => Err(Refusal::LineEnd),
                _ => Err(Refusal::ContentLength),
            },
            State::Encoding { matched, after } => {
                let next = CHUNKED.get(usize::from(matched));
                match byte {
                    b' ' | b'\t' if matched == 0 => Ok(State::Encoding { matched, after }),
                    b' ' | b'\t' if next.is_none() => Ok(State::Encoding { matched, after: true }),
                    b'\r' if next.is_none() => Ok(State::LineFeed),
                    b'\n' => Err(Refusal::LineEnd),
                    _ if !after && next == Some(&byte.to_ascii_lowercase()) => {
                        Ok(State::Encoding { matched: matched + 1, after })
                    }
                    _ => Err(Refusal::TransferEncoding),
                }
            }
            State::LastLineFeed => line_feed(byte, State::Complete),
            State::Complete => Ok(State::Complete),
        }
    }

    fn version(&mut self, byte: u8, matched: u8) -> Result<State, Refusal> {
        match VERSION.get(usize::from(matched)) {
            Some(&expected) if byte == expected => Ok(State::Version(matched + 1)),
            None if byte == b'0' || byte == b'1' => {
                self.version_minor = byte - b'0';
                Ok(State::VersionEnd)
            }
            _ => Err(Refusal::Version),
        }
    }

    fn line_start(&mut self, byte: u8) -> Result<State, Refusal> {
        match byte {
            b'\r' => Ok(State::LastLineFeed),
            b'\n' => Err(Refusal::LineEnd),
            b' ' | b'\t' => Err(Refusal::Fold),
            _ if is_token(byte) => {
                self.fields += 1;
                if self.fields > MAX_FIELDS {
                    return Err(Refusal::TooManyFields);
                }
                self.name.len = 0;
                self.name.push(byte);
                Ok(State::FieldName)
            }
            _ => Err(Refusal::FieldName),
        }
    }

    fn field_name(&mut self, byte: u8) -> Result<State, Refusal> {
        if is_token(byte) {
            self.name.push(byte);
            return Ok(State::FieldName);
        }
        match byte {
            b':' => self.begin_value(),
            b'\n' => Err(Refusal::LineEnd),
            _ => Err(Refusal::FieldName),
        }
    }

    fn begin_value(&mut self) -> Result<State, Refusal> {
        if self.name.is(b"host") {
            self.hosts += 1;
        } else if self.name.is(b"upgrade") {
            self.upgrade = true;
        } else if self.name.is(b"content-length") {
            if std::mem::replace(&mut self.length, true) {
                return Err(Refusal::ContentLength);
            }
            return Ok(State::Length { digits: 0, after: false });
        } else if self.name.is(b"transfer-encoding") {
            if std::mem::replace(&mut self.encoding, true) {
                return Err(Refusal::TransferEncoding);
            }
            return Ok(State::Encoding { matched: 0, after: false });
        }
        Ok(State::Value)
    }

    /// What can only be judged when all fields are known.
    fn verdict(&self) -> Result<(), Refusal> {
        if self.length && self.encoding {
            Err(Refusal::TwoLengths)
        } else if self.encoding && self.version_minor == 0 {
            Err(Refusal::TransferEncoding)
        } else if self.hosts != 1 {
            Err(Refusal::Host)
        } else {
            Ok(())
        }
    }
}

impl Name {
    #[inline]
    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.len) {
            *slot = byte;
        }
        self.len += 1;
    }

    fn push_all(&mut self, bytes: &[u8]) {
        if let Some(space) = self.bytes.get_mut(self.len..) {
            let kept = bytes.len().min(space.len());
            space[..kept].copy_from_slice(&bytes[..kept]);
        }
        self.len += bytes.len();
    }

    fn is(&self, name: &[u8]) -> bool {
        self.len == name.len() && self.bytes[..self.len.min(LONGEST)].eq_ignore_ascii_case(name)
    }
}

fn line_feed(byte: u8, then: State) -> Result<State, Refusal> {
    if byte == b'\n' { Ok(then) } else { Err(Refusal::LineEnd) }
}

/// RFC 9110 §5.6.2 `tchar`.
#[inline]
fn is_token(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let marks = b"!#$%&'*+-.^_`|~";
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = true;
        at += 1;
    }
    let mut byte = 0;
    while byte < 128 {
        if (byte as u8).is_ascii_alphanumeric() {
            table[byte] = true;
        }
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn at_once(head: &[u8]) -> Result<Progress, Refusal> {
        HeadScanner::new().scan(head)
    }

    fn in_two(head: &[u8], split: usize) -> Result<Progress, Refusal> {
        let mut scanner = HeadScanner::new();
        scanner.scan(&head[..split])?;
        scanner.scan(&head[split..])
    }

    fn byte_by_byte(head: &[u8]) -> Result<Progress, Refusal> {
        let mut scanner = HeadScanner::new();
        let mut progress = Progress::Partial;
        for byte in head {
            progress = scanner.scan(std::slice::from_ref(byte))?;
        }
        Ok(progress)
    }

    /// The verdict, whatever pieces the head arrives in.
    fn verdict(head: &str) -> Result<Progress, Refusal> {
        let expected = at_once(head.as_bytes());
        for split in 0..=head.len() {
            assert_eq!(in_two(head.as_bytes(), split), expected, "split at {split} of {head:?}");
        }
        assert_eq!(byte_by_byte(head.as_bytes()), expected, "byte by byte: {head:?}");
        expected
    }

    fn get(fields: &str) -> Result<Progress, Refusal> {
        verdict(&format!("GET /a?b HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
    }

    #[test]
    fn sound_requests_pass() {
        let complete = Ok(Progress::Complete);
        assert_eq!(get(""), complete);
        assert_eq!(get("Accept: */*\r\nX-Empty:\r\nX-Tab:\ta \t\r\n"), complete);
        assert_eq!(get("content-length: 0005 \r\n"), complete);
        assert_eq!(get("TRANSFER-encoding:\tCHUNKED \r\n"), complete);
        assert_eq!(verdict("\r\nGET / HTTP/1.0\r\nhost:a\r\n\r\n"), complete);
        assert_eq!(verdict("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), complete);
        let body = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n\0\n\r\n";
        assert_eq!(verdict(body), complete, "what follows the head is not looked at");
        assert_eq!(verdict("GET / HTTP/1.1\r\nHost: a\r\n"), Ok(Progress::Partial));
    }

    /// Bare LF, bare CR, obs-fold, space before colon, NUL → 400.
    #[test]
    fn lines_have_one_reading() {
        for head in [
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\n",
            "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n",
            "GET / HTTP/1.1\r\rHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost\n: a\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\n\r\n",
        ] {
            assert_eq!(verdict(head), Err(Refusal::LineEnd), "{head:?}");
        }
        assert_eq!(get("X: a\r\n b\r\n"), Err(Refusal::Fold));
        assert_eq!(get("X: a\r\n\tb\r\n"), Err(Refusal::Fold));
        for name in ["X : a", "X\t: a", ": a", "X(y): a", "Xé: a", "X", "\0: a", "X\0: a"] {
            assert_eq!(get(&format!("{name}\r\n")), Err(Refusal::FieldName), "{name:?}");
        }
        assert_eq!(get("X: a\0b\r\n"), Err(Refusal::FieldValue));
    }

    #[test]
    fn request_lines_have_one_reading() {
        let line = |line: &str| verdict(&format!("{line}\r\nHost: a\r\n\r\n"));
        for bad in [
            " GET / HTTP/1.1",
            "GET  / HTTP/1.1",
            "GET\t/ HTTP/1.1",
            "G(T / HTTP/1.1",
            "GET /\u{e9} HTTP/1.1",
            "GET /\0 HTTP/1.1",
            "\r\n\r\nGET / HTTP/1.1",
            "GET",
        ] {
            assert_eq!(line(bad), Err(Refusal::RequestLine), "{bad:?}");
        }
        for bad in [
            "GET /",
            "GET / ",
            "GET / HTTP/2.0",
            "GET / HTTP/1.2",
            "GET / HTTP/1.10",
            "GET / http/1.1",
            "GET / HTTP/1.1 ",
            "GET /a b HTTP/1.1",
            "PRI * HTTP/2.0",
        ] {
            assert_eq!(line(bad), Err(Refusal::Version), "{bad:?}");
        }
    }

    /// CL+TE, differing CL, bad TE, HTTP/1.0+TE, missing or double Host → 400.
    #[test]
    fn messages_have_one_length() {
        let te = "Transfer-Encoding: chunked\r\n";
        assert_eq!(get(&format!("Content-Length: 5\r\n{te}")), Err(Refusal::TwoLengths));
        assert_eq!(get(&format!("{te}Content-Length: 5\r\n")), Err(Refusal::TwoLengths));
        assert_eq!(get(&format!("{te}{te}")), Err(Refusal::TransferEncoding));
        for bad in ["", "5, 6", "+5", "5 5", "0x1", "5;", "-1", "12345678901234567890"] {
            let field = format!("Content-Length: {bad}\r\n");
            assert_eq!(get(&field), Err(Refusal::ContentLength), "{bad:?}");
        }
        let twice = "Content-Length: 5\r\nContent-Length: 6\r\n";
        assert_eq!(get(twice), Err(Refusal::ContentLength));
        for bad in
            ["", "gzip", "gzip, chunked", "chunked, chunked", "xchunked", "chunkedx", "chun ked"]
        {
            let field = format!("Transfer-Encoding: {bad}\r\n");
            assert_eq!(get(&field), Err(Refusal::TransferEncoding), "{bad:?}");
        }
        let old = format!("POST / HTTP/1.0\r\nHost: a\r\n{te}\r\n");
        assert_eq!(verdict(&old), Err(Refusal::TransferEncoding));
        assert_eq!(verdict("GET / HTTP/1.1\r\n\r\n"), Err(Refusal::Host));
        assert_eq!(verdict("GET / HTTP/1.1\r\nHostile: a\r\n\r\n"), Err(Refusal::Host));
        assert_eq!(get("hOST: a\r\n"), Err(Refusal::Host));
    }

    /// Header block ≤ 32 KiB and 100 fields.
    #[test]
    fn heads_are_bounded() {
        let fits = "X: y\r\n".repeat(MAX_FIELDS - 1);
        assert_eq!(get(&fits), Ok(Progress::Complete));
        assert_eq!(get(&format!("{fits}Y: z\r\n")), Err(Refusal::TooManyFields));

        let frame = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
        let head = |size: usize| {
            let value = "v".repeat(size - frame);
            format!("GET / HTTP/1.1\r\nHost: a\r\nX: {value}\r\n\r\n")
        };
        assert_eq!(at_once(head(MAX_HEAD).as_bytes()), Ok(Progress::Complete));
        assert_eq!(at_once(head(MAX_HEAD + 1).as_bytes()), Err(Refusal::TooLarge));
        assert_eq!(byte_by_byte(head(MAX_HEAD + 1).as_bytes()), Err(Refusal::TooLarge));
        let endless = format!("GET /{}", "a".repeat(MAX_HEAD));
        assert_eq!(at_once(endless.as_bytes()), Err(Refusal::TooLarge));
    }

    #[test]
    fn an_upgrade_is_noticed() {
        let mut scanner = HeadScanner::new();
        assert!(!scanner.is_partial());
        scanner.scan(b"GET / HTTP/1.1\r\nHost: a\r\nUPgrade: web").unwrap();
        assert!(scanner.is_partial());
        scanner.scan(b"socket\r\n\r\n").unwrap();
        assert!(scanner.is_complete() && scanner.asks_upgrade() && !scanner.is_partial());
    }
}
