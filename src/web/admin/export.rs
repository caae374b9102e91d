//! `GET /api/v1/accounts/export`: all accounts as CSV, in the form that the import takes.

use std::io;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use serde::Deserialize;

use super::AdminState;
use super::problem::{Problem, Query};
use crate::domain::account::{Account, AccountState, Role};
use crate::ports::AccountQuery;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportQuery {
    tenant: Option<String>,
    state: Option<AccountState>,
}

/// Accounts per step: what is held in memory.
const STEP: usize = 1000;

pub(super) async fn export(
    State(state): State<AdminState>,
    Query(query): Query<ExportQuery>,
) -> Result<Response, Problem> {
    let first = AccountQuery {
        tenant: query.tenant.map(|tenant| crate::domain::login_name::fold(&tenant)),
        state: query.state,
        limit: STEP,
        ..AccountQuery::default()
    };
    // The first page is read before the status goes out, so that an outage is a 503.
    let page = state.services.accounts.list(&first).await?;
    let mut text = b"login,email,name,role\r\n".to_vec();
    text.extend(rows(&page.items).map_err(failed)?);
    let next = page.next_cursor.map(|cursor| AccountQuery { cursor: Some(cursor), ..first });
    let rest = stream::try_unfold(next, move |query| {
        let services = std::sync::Arc::clone(&state.services);
        async move {
            let Some(query) = query else { return Ok(None) };
            let page = services.accounts.list(&query).await.map_err(io::Error::other)?;
            let next =
                page.next_cursor.map(|cursor| AccountQuery { cursor: Some(cursor), ..query });
            Ok::<_, io::Error>(Some((Bytes::from(rows(&page.items)?), next)))
        }
    });
    let whole = futures::StreamExt::chain(stream::iter([Ok(Bytes::from(text))]), rest);
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8"),
        (CONTENT_DISPOSITION, "attachment; filename=\"accounts.csv\""),
    ];
    Ok((headers, Body::from_stream(whole)).into_response())
}

fn failed(error: io::Error) -> Problem {
    crate::ports::Unavailable::new("export", error).into()
}

fn rows(accounts: &[Account]) -> io::Result<Vec<u8>> {
    let mut writer =
        csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    for account in accounts {
        let role = match account.role {
            Role::User => "user",
            Role::Manager => "manager",
        };
        let login = account.login.to_string();
        let email = account.email.as_deref().unwrap_or("");
        writer.write_record([login.as_str(), email, &guarded(&account.name), role])?;
    }
    writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
}

/// A name that a spreadsheet would run as a formula gets an apostrophe in front (OWASP: CSV
/// injection); [`plain`] takes it off again at import.
fn guarded(name: &str) -> String {
    if name.starts_with(['=', '+', '-', '@']) { format!("'{name}") } else { name.to_owned() }
}

/// A name as it was before [`guarded`].
pub(super) fn plain(name: &str) -> &str {
    match name.strip_prefix('\'') {
        Some(rest) if rest.starts_with(['=', '+', '-', '@']) => rest,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_guarded_and_come_back_plain() {
        for name in ["=HYPERLINK(\"x\")", "+1", "-1", "@SUM(A1)", "Jane", "'quoted", "O'Neil"] {
            let written = guarded(name);
            assert!(!written.starts_with(['=', '+', '-', '@']), "{written}");
            assert_eq!(plain(&written), name);
        }
    }
}
