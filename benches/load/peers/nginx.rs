//! nginx, plain and with auth_request, set up to be at its best: one worker, keep-alive on both
//! sides, no log, buffers that hold the page.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::comparison::Setup;

/// nginx, if it is installed.
pub fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|folder| folder.join("nginx"))
        .find(|program| program.is_file())
}

/// How to start it; `auth` is the address of the service that is asked about each request.
pub fn command(
    setup: &Setup,
    listen: SocketAddr,
    auth: Option<&str>,
    one_process: bool,
) -> (OsString, Vec<OsString>) {
    let name = format!("nginx-{}.conf", listen.port());
    let file = setup.directory.path().join(&name);
    std::fs::write(&file, configuration(setup, listen, auth, one_process)).unwrap();
    let program = setup.nginx.clone().expect("asked for only where it is").into_os_string();
    let arguments = vec![
        "-e".into(),
        "stderr".into(),
        "-p".into(),
        setup.directory.path().into(),
        "-c".into(),
        file.into(),
    ];
    (program, arguments)
}

fn configuration(
    setup: &Setup,
    listen: SocketAddr,
    auth: Option<&str>,
    one_process: bool,
) -> String {
    let folder = |name: &str| folder(setup.directory.path(), name);
    let to = |name: &str| {
        format!(
            "proxy_pass http://{name}; proxy_http_version 1.1; proxy_set_header Connection \"\";"
        )
    };
    let server = |name: &str, address: &str| {
        format!(
            "upstream {name} {{ server {address}; keepalive 64; keepalive_requests 100000000; }}"
        )
    };
    let (asking, asked, service) = match auth {
        None => ("", String::new(), String::new()),
        Some(address) => (
            "auth_request /auth;",
            format!(
                "location = /auth {{ internal; proxy_pass_request_body off; {} \
                 proxy_set_header Content-Length \"\"; }}",
                to("auth")
            ),
            server("auth", address),
        ),
    };
    format!(
        r"
daemon off;
master_process {master};
worker_processes 1;
error_log stderr crit;
pid {pid};
user root;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {bodies};
    proxy_temp_path {answers};
    fastcgi_temp_path {other}; uwsgi_temp_path {other}; scgi_temp_path {other};
    {pbx}
    {service}
    server {{
        listen {listen} ssl http2;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.3;
        keepalive_timeout 300s;
        keepalive_requests 100000000;
        proxy_buffers 16 8k;
        location / {{
            {asking}
            {to_pbx}
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto https;
        }}
        {asked}
    }}
}}
",
        master = if one_process { "off" } else { "on" },
        pid = setup.directory.path().join(format!("nginx-{}.pid", listen.port())).display(),
        bodies = folder("bodies"),
        answers = folder("answers"),
        other = folder("other"),
        pbx = server("pbx", &setup.upstream.address.to_string()),
        certificate = setup.certificate.certificate.display(),
        key = setup.certificate.key.display(),
        to_pbx = to("pbx"),
    )
}

fn folder(directory: &Path, name: &str) -> String {
    let folder = directory.join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder.display().to_string()
}
