//! `POST /api/v1/accounts/import`: a CSV file of accounts. One bad line never hides another: each
//! gets its reason.

use std::collections::HashMap;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use csv::{ByteRecord, ReaderBuilder, Trim};
use serde::Deserialize;
use serde_json::{Value, json};

use super::problem::{Problem, Query};
use super::{AdminState, mails};
use crate::domain::account::Role;
use crate::domain::login_name::LoginName;
use crate::flows::accounts::{self as flow, ImportFailure, ImportLine, ImportMode, ImportReport};

/// Largest file: half a million lines of usual length.
pub(super) const BODY_LIMIT: usize = 64 * 1024 * 1024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ImportQuery {
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    partial: bool,
    /// Also e-mail the new accounts the link that sets them up.
    #[serde(default)]
    send_welcome: bool,
}

pub(super) async fn import(
    State(state): State<AdminState>,
    Query(query): Query<ImportQuery>,
    headers: HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<Response, Problem> {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = kind.split(';').next().unwrap_or("").trim();
    if !essence.eq_ignore_ascii_case("text/csv") {
        let detail = "send the file as Content-Type: text/csv";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    let body = body.map_err(|error| Problem::new(error.status(), error.body_text()))?;
    let (lines, failed) = parse(&body).map_err(|error| Problem::unprocessable(error.0))?;
    let ImportQuery { dry_run, partial, send_welcome } = query;
    if send_welcome && state.services.mail.is_none() {
        return Err(mails::mail_off());
    }
    let mode = ImportMode { dry_run, partial, send_welcome };
    let report = flow::import(&state.services, lines, failed, mode).await?;
    if !report.applied && !mode.dry_run {
        let detail = format!(
            "nothing was imported: {} lines have errors (partial=true imports the others)",
            report.failed.len()
        );
        return Err(Problem::unprocessable(detail).with_members(report_body(report)));
    }
    Ok(axum::Json(report_body(report)).into_response())
}

fn report_body(report: ImportReport) -> Value {
    let failed: Vec<Value> = report
        .failed
        .into_iter()
        .map(|failure| json!({ "line": failure.line, "reason": failure.reason }))
        .collect();
    let mut body = json!({
        "created": report.created,
        "updated": report.updated,
        "unchanged": report.unchanged,
        "failed": failed,
    });
    if let Some(welcome) = report.welcome {
        body["welcome"] = json!({
            "campaign": welcome.campaign.map(|id| id.to_string()),
            "total": welcome.total,
            "without_email": welcome.without_email,
        });
    }
    body
}

/// Why a file as a whole cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadFile(String);

/// Reads a file: the lines that can be imported, and the others with their reasons. Takes commas
/// or semicolons (as spreadsheets write them), quotes, CRLF and a byte-order mark; columns in any
/// order, of which only `login` must be there.
pub(super) fn parse(bytes: &[u8]) -> Result<(Vec<ImportLine>, Vec<ImportFailure>), BadFile> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter(bytes))
        .flexible(true)
        .trim(Trim::All)
        .from_reader(bytes);
    let columns = Columns::of(reader.byte_headers().map_err(|error| BadFile(error.to_string()))?)?;
    let (mut lines, mut failed) = (Vec::new(), Vec::new());
    let mut seen: HashMap<LoginName, u64> = HashMap::new();
    for record in reader.byte_records() {
        let record = record.map_err(|error| BadFile(error.to_string()))?;
        let line = record.position().map_or(0, csv::Position::line);
        let read = columns.read(&record).and_then(|read| match seen.get(&read.login) {
            Some(first) => Err(format!("{} is on line {first} already", read.login)),
            None => Ok(read),
        });
        match read {
            Ok(read) => {
                seen.insert(read.login.clone(), line);
                lines.push(read);
            }
            Err(reason) => failed.push(ImportFailure { line, reason }),
        }
    }
    Ok((lines, failed))
}

fn delimiter(bytes: &[u8]) -> u8 {
    let header = bytes.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or(bytes);
    if header.contains(&b';') && !header.contains(&b',') { b';' } else { b',' }
}

/// Where each column is.
struct Columns {
    count: usize,
    login: usize,
    email: Option<usize>,
    name: Option<usize>,
    role: Option<usize>,
}

impl Columns {
    fn of(header: &ByteRecord) -> Result<Self, BadFile> {
        let mut places: [Option<usize>; 4] = [None; 4];
        const NAMES: [&str; 4] = ["login", "email", "name", "role"];
        for (index, title) in header.iter().enumerate() {
            let title = String::from_utf8_lossy(title).to_lowercase();
            let Some(place) = NAMES.iter().position(|name| *name == title) else {
                return Err(BadFile(format!(
                    "the first line must be the header login,email,name,role; column `{}` is \
                     not known (passwords and PINs are never imported)",
                    title.chars().take(40).collect::<String>().escape_debug()
                )));
            };
            if places[place].replace(index).is_some() {
                return Err(BadFile(format!("the header names `{title}` twice")));
            }
        }
        let [login, email, name, role] = places;
        let login = login.ok_or_else(|| {
            BadFile("the first line must be the header login,email,name,role".into())
        })?;
        Ok(Self { count: header.len(), login, email, name, role })
    }

    fn read(&self, record: &ByteRecord) -> Result<ImportLine, String> {
        if record.len() > self.count {
            return Err(format!(
                "has {} fields where the header has {}; text with a comma needs quotes",
                record.len(),
                self.count
            ));
        }
        let field = |index: Option<usize>| match index.and_then(|index| record.get(index)) {
            None => Ok(""),
            Some(bytes) => std::str::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned()),
        };
        let login = LoginName::parse(field(Some(self.login))?).map_err(|why| why.to_string())?;
        let email = match field(self.email)? {
            "" => None,
            text => Some(flow::email(text).map_err(|why| why.to_string())?),
        };
        let name = super::export::plain(field(self.name)?);
        let name = flow::name(name).map_err(|why| why.to_string())?;
        let role = match field(self.role)?.to_lowercase().as_str() {
            "" => None,
            "user" => Some(Role::User),
            "manager" => Some(Role::Manager),
            _ => return Err("the role must be user or manager".into()),
        };
        Ok(ImportLine { login, email, name, role })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(text: &str) -> Vec<ImportLine> {
        let (lines, failed) = parse(text.as_bytes()).unwrap();
        assert_eq!(failed, [], "{text:?}");
        lines
    }

    fn line(login: &str, email: Option<&str>, name: &str, role: Option<Role>) -> ImportLine {
        ImportLine {
            login: LoginName::parse(login).unwrap(),
            email: email.map(str::to_owned),
            name: name.into(),
            role,
        }
    }

    /// R-E1: files as spreadsheets and scripts write them.
    #[test]
    fn the_ways_files_are_written() {
        let expected = [line("1001@acme", Some("a@b.example"), "Doe, Jane", Some(Role::Manager))];
        for text in [
            "login,email,name,role\n1001@acme,a@b.example,\"Doe, Jane\",manager\n",
            "\u{feff}login,email,name,role\r\n1001@ACME,a@b.example,\"Doe, Jane\",Manager\r\n",
            "login;email;name;role\n1001@acme;a@b.example;Doe, Jane;manager",
            "Role , NAME,email,Login\nmanager,\"Doe, Jane\",a@b.example , 1001@acme \n\n",
        ] {
            assert_eq!(good(text), expected, "{text:?}");
        }
        assert_eq!(good("login\n1001@acme\n"), [line("1001@acme", None, "", None)]);
        assert_eq!(good("login,email,name\n1001@acme\n"), [line("1001@acme", None, "", None)]);
        assert_eq!(good("login,email,name,role\n"), []);
    }

    /// R-E1: each bad line gets its number and its reason; the good ones stay.
    #[test]
    fn every_bad_line_has_its_reason() {
        let text = b"login,email,name,role\n\
            1001@acme,a@b.example,A,user\n\
            1002,,,\n\
            1003@acme,not-an-address,,\n\
            1004@acme,,,admin\n\
            1001@ACME,,,\n\
            1005@acme,,B,user,extra\n\
            1006@acme,,\xff,user\n\
            \"1007 x@acme\",,,\n\
            1008@acme,,,\n";
        let (lines, failed) = parse(text).unwrap();
        let logins: Vec<String> = lines.iter().map(|line| line.login.to_string()).collect();
        assert_eq!(logins, ["1001@acme", "1008@acme"]);
        let reasons: Vec<(u64, &str)> =
            failed.iter().map(|failure| (failure.line, failure.reason.as_str())).collect();
        assert_eq!(
            reasons,
            [
                (3, "a login name needs an extension and a tenant, for example 1001@example.com"),
                (4, "the e-mail address must look like name@example.com"),
                (5, "the role must be user or manager"),
                (6, "1001@acme is on line 2 already"),
                (7, "has 5 fields where the header has 4; text with a comma needs quotes"),
                (8, "is not UTF-8"),
                (9, "a login name must not contain spaces, quotes or control characters"),
            ]
        );
    }

    #[test]
    fn files_that_are_none() {
        for (text, why) in [
            ("", "the first line must be the header login,email,name,role"),
            ("1001@acme,a@b.example,A,user\n", "column `1001@acme` is not known"),
            ("login,pin\n1001@acme,1234\n", "PINs are never imported"),
            ("email,name\na@b.example,A\n", "the first line must be the header"),
            ("login,login\na@b,c@d\n", "names `login` twice"),
        ] {
            let BadFile(reason) = parse(text.as_bytes()).unwrap_err();
            assert!(reason.contains(why), "{text:?}: {reason}");
        }
    }
}
