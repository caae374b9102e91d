//! Tables for people, JSON for scripts.

use std::cell::RefCell;
use std::io::{self, IsTerminal as _, Write};

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use serde_json::Value;

use super::failure::Failure;

/// Where and how to answer.
pub(super) struct Output {
    /// In JSON.
    pub json: bool,
    /// Standard output, but for tests.
    pub out: RefCell<Box<dyn Write>>,
}

/// A column: its title, and how a cell is made of an item.
pub(super) type Column = (&'static str, fn(&Value) -> String);

impl Output {
    /// A list: the API's shape in JSON, a table for people.
    pub(super) fn list(&self, items: &[Value], columns: &[Column]) -> Result<(), Failure> {
        if self.json {
            return self.value(&serde_json::json!({ "items": items, "next_cursor": null }));
        }
        if items.is_empty() {
            return self.note("none");
        }
        self.line(&table(items, columns))
    }

    /// One thing: JSON, or its fields below each other.
    pub(super) fn item(&self, item: &Value, columns: &[Column]) -> Result<(), Failure> {
        if self.json {
            return self.value(item);
        }
        let mut table = Table::new();
        table.load_style(NOTHING);
        for (title, cell) in columns {
            table.add_row([title.to_lowercase(), printable(&cell(item))]);
        }
        self.line(&table.trim_fmt())
    }

    /// A JSON value.
    pub(super) fn value(&self, value: &Value) -> Result<(), Failure> {
        self.line(&format!("{value:#}"))
    }

    /// A line on standard output.
    pub(super) fn line(&self, text: &str) -> Result<(), Failure> {
        let mut line = text.to_owned();
        if !line.ends_with('\n') {
            line.push('\n');
        }
        self.bytes(line.as_bytes())
    }

    /// Bytes on standard output.
    pub(super) fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = self.out.borrow_mut();
        out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::Closed,
            _ => Failure::Failed(format!("cannot write the answer: {error}")),
        })
    }

    /// Something for people only: it is not part of the answer.
    pub(super) fn note(&self, text: &str) -> Result<(), Failure> {
        if !self.json {
            eprintln!("{text}");
        }
        Ok(())
    }

    /// How far long work is, if a person watches.
    pub(super) fn bar(&self, total: u64) -> Bar {
        if self.json || !io::stderr().is_terminal() {
            return Bar(ProgressBar::hidden());
        }
        let bar = ProgressBar::new(total);
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} {elapsed}") {
            bar.set_style(style);
        }
        Bar(bar)
    }

    /// A sign of life during long work, if a person watches.
    pub(super) fn progress(&self, what: &str) -> Progress {
        if self.json || !io::stderr().is_terminal() {
            return Progress(ProgressBar::hidden());
        }
        let bar = ProgressBar::new_spinner().with_message(what.to_owned());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(std::time::Duration::from_millis(120));
        Progress(bar)
    }
}

/// How much of a known amount is done.
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// So much is.
    pub(super) fn at(&self, done: u64) {
        self.0.set_position(done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Ends with its scope, and leaves nothing on the screen.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Says how far the work is.
    pub(super) fn say(&self, text: String) {
        self.0.set_message(text);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A member as text; empty if there is none.
pub(super) fn text(item: &Value, member: &str) -> String {
    match &item[member] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A time to the minute, in UTC; empty if there is none.
pub(super) fn time(item: &Value, member: &str) -> String {
    let text = text(item, member);
    match text.parse::<Timestamp>() {
        Ok(time) => time.strftime("%Y-%m-%d %H:%MZ").to_string(),
        Err(_) => text,
    }
}

fn table(items: &[Value], columns: &[Column]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(columns.iter().map(|(title, _)| *title));
    for item in items {
        table.add_row(columns.iter().map(|(_, cell)| printable(&cell(item))));
    }
    table.trim_fmt()
}

/// What a terminal may be given: a browser's name for itself is a stranger's text, and must not
/// move the cursor or colour the screen.
fn printable(text: &str) -> String {
    let harmless = |c: char| {
        if c.is_control() || matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}') {
            '\u{fffd}'
        } else {
            c
        }
    };
    text.chars().map(harmless).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COLUMNS: [Column; 2] =
        [("LOGIN", |item| text(item, "login")), ("SEEN", |item| time(item, "seen"))];

    #[test]
    fn a_table_for_people() {
        let items = [
            json!({"login": "1001@acme", "seen": "2018-11-05T05:00:00.123Z"}),
            json!({"login": "9@acme", "seen": null}),
        ];
        let lines: Vec<String> =
            table(&items, &COLUMNS).lines().map(|line| line.trim().to_owned()).collect();
        assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>(), ["LOGIN", "SEEN"]);
        let row: Vec<&str> = lines[1].split_whitespace().collect();
        assert_eq!(row, ["1001@acme", "2018-11-05", "05:00Z"]);
        assert_eq!(lines[2], "9@acme");
    }

    /// A stranger's text cannot steer the operator's terminal.
    #[test]
    fn no_cell_holds_a_control_character() {
        let items = [json!({"login": "\u{1b}[2Jx\r\u{9b}31m\u{202e}", "seen": ""})];
        let shown = table(&items, &COLUMNS);
        assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
        assert!(!shown.contains('\u{202e}'));
    }
}
