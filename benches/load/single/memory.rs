//! Resident memory: idle, per live session, per idle connection.

use super::{Single, mebibytes};
use crate::arguments::Plan;
use crate::client::Browser;
use crate::comparison::Setup;
use crate::gateway::{Gateway, Home, QUIET, login, sign_in};
use crate::upstream::PIN;

pub async fn measure(plan: &Plan, setup: &Setup) -> Vec<Single> {
    let gateway = Gateway::start(setup, Home::new(setup, QUIET), None).await;
    let idle = mebibytes(gateway.process.memory());

    eprintln!("memory of {} sessions", plan.sessions);
    // What the first logins need is not theirs alone: pools, caches, code that is touched.
    let warm_up = plan.sessions / 5;
    sign_in_many(&gateway, setup, 10_000, warm_up).await;
    let before = gateway.process.memory();
    sign_in_many(&gateway, setup, 10_000 + warm_up, plan.sessions).await;
    let per_session = difference(gateway.process.memory(), before, plan.sessions);

    eprintln!("memory of {} connections", plan.idle_connections);
    let mut idle_browsers = open_many(&gateway, setup, plan.idle_connections / 10).await;
    let before = gateway.process.memory();
    idle_browsers.extend(open_many(&gateway, setup, plan.idle_connections).await);
    let per_connection = difference(gateway.process.memory(), before, plan.idle_connections);
    drop(idle_browsers);
    gateway.stop().await;

    let session_name = format!("memory per live session (of {})", plan.sessions);
    let connection_name = format!("memory per idle connection (of {})", plan.idle_connections);
    let connection = per_connection / 1024.0;
    vec![
        Single::new("memory, idle", format!("{idle:.1} MiB"), "≤ 30 MiB", idle <= 30.0),
        Single::new(&session_name, format!("{per_session:.0} B"), "≤ 600 B", per_session <= 600.0),
        Single::new(
            &connection_name,
            format!("{connection:.1} KiB"),
            "≤ 20 KiB",
            connection <= 20.0,
        ),
    ]
}

async fn sign_in_many(gateway: &Gateway, setup: &Setup, first: usize, count: usize) {
    let mut browser = gateway.browser(setup).await;
    for number in first..first + count {
        browser.forget_cookies();
        sign_in(&mut browser, &login(number), PIN).await;
    }
}

/// Connections that have had one answer, as browsers keep them.
async fn open_many(gateway: &Gateway, setup: &Setup, count: usize) -> Vec<Browser> {
    let mut browsers = Vec::with_capacity(count);
    for _ in 0..count {
        let mut browser = gateway.browser(setup).await;
        assert_eq!(browser.get("/portal/login").await.status, 200);
        browsers.push(browser);
    }
    browsers
}

fn difference(after: u64, before: u64, count: usize) -> f64 {
    after.saturating_sub(before) as f64 / count.max(1) as f64
}
