//! The service that nginx asks about each request: as small and as fast as it can be, so that the
//! comparison is with auth_request at its best.

use std::collections::HashSet;
use std::path::Path;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::process::Process;
use crate::upstream;

/// Serves until it is killed.
pub fn run() -> ! {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("listening {}", listener.local_addr().unwrap());
        let sessions: &HashSet<&str> = Box::leak(Box::new(HashSet::from(["benchmark"])));
        upstream::serve(listener, move |request| async move {
            let known = upstream::session(request.headers()).is_some_and(|s| sessions.contains(s));
            let mut response = Response::new(Full::<Bytes>::default());
            *response.status_mut() =
                if known { StatusCode::NO_CONTENT } else { StatusCode::UNAUTHORIZED };
            response
        })
        .await;
        unreachable!("it is never told to stop")
    })
}

/// Starts it as a process of its own, whose CPU time counts; and where it listens.
pub async fn start(log: &Path) -> (Process, String) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let mut process = Process::start(command.arg("auth-service"), log);
    let address = process.says("listening ").await.expect("the service starts");
    (process, address)
}
