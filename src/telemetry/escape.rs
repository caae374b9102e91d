//! Text from outside, made safe for a line that programs parse.

use std::fmt::{self, Write as _};

/// Longest escaped login name, in bytes.
const LOGIN_LIMIT: usize = 160;

/// Longest escaped path, in bytes.
const PATH_LIMIT: usize = 1024;

/// A login name for a log line: no space, quote, control character, `=` or `;` gets through, so
/// that nobody can write a second `client=` into the line and have a stranger's address banned.
/// Everything else outside letters, digits and ASCII signs (bidi overrides, zero-width …) is
/// percent-encoded too. An empty name is `-`.
pub fn login(text: &str) -> impl fmt::Display + '_ {
    Escaped { text, limit: LOGIN_LIMIT, also: "=;" }
}

/// A path for a log line, without its query: codes and credentials may stand there.
pub fn path(text: &str) -> impl fmt::Display + '_ {
    let end = text.find(['?', '#']).unwrap_or(text.len());
    Escaped { text: &text[..end], limit: PATH_LIMIT, also: "" }
}

/// Percent-encodes while it is written: no allocation.
struct Escaped<'a> {
    text: &'a str,
    limit: usize,
    also: &'static str,
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.text.is_empty() {
            return f.write_char('-');
        }
        let mut written = 0;
        for c in self.text.chars() {
            let plain = passes(c) && !self.also.contains(c);
            let size = if plain { c.len_utf8() } else { 3 * c.len_utf8() };
            if written + size > self.limit {
                return f.write_str("...");
            }
            written += size;
            if plain {
                f.write_char(c)?;
            } else {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    write!(f, "%{byte:02X}")?;
                }
            }
        }
        Ok(())
    }
}

/// `%` itself is escaped, so that an escaped text has one reading.
fn passes(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_graphic() && !"\"'`\\%".contains(c) } else { c.is_alphanumeric() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Log lines (interfaces): no spaces, control characters or quotes get through.
    #[test]
    fn nothing_of_a_login_name_can_break_the_line() {
        for (typed, line) in [
            ("1001@abc-company.11111.service", "1001@abc-company.11111.service"),
            ("", "-"),
            ("a b", "a%20b"),
            ("x client=6.6.6.6", "x%20client%3D6.6.6.6"),
            ("x;client=6.6.6.6", "x%3Bclient%3D6.6.6.6"),
            ("a\r\nauthentication failure; y", "a%0D%0Aauthentication%20failure%3B%20y"),
            ("\"'`\\", "%22%27%60%5C"),
            ("50%20", "50%2520"),
            ("tab\there\0", "tab%09here%00"),
            ("\u{202e}evil", "%E2%80%AEevil"),
            ("\u{a0}nbsp\u{2028}", "%C2%A0nbsp%E2%80%A8"),
            ("ÄÖ１", "ÄÖ１"),
            ("\u{1b}[31mred", "%1B[31mred"),
        ] {
            assert_eq!(login(typed).to_string(), line, "{typed:?}");
        }
    }

    #[test]
    fn length_is_bounded_whatever_comes() {
        for typed in ["x".repeat(1 << 20), "\0".repeat(1 << 20), "\u{1F512}".repeat(1 << 18)] {
            assert!(login(&typed).to_string().len() <= LOGIN_LIMIT + 3);
            assert!(path(&typed).to_string().len() <= PATH_LIMIT + 3);
        }
    }

    #[test]
    fn a_path_loses_its_query() {
        let shown = path("/account/reset?code=abc#x").to_string();
        assert_eq!(shown, "/account/reset");
        assert_eq!(path("/a b/\"").to_string(), "/a%20b/%22");
    }
}
