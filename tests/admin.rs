//! Administration of a running gateway: the API over the Unix socket and the listener, health and
//! metrics, and the command line as a process (R-E1, R-E2, R-E3, R-G5).

use std::process::Output;

use serde_json::{Value, json};

use crate::support::{Gateway, Pbx, Settings, alice, passgate};
use passgate::demo::portal::Failure;

/// R-E3: "CSV import": a dry run changes nothing; the report names each bad line; all or nothing
/// unless a part is asked for.
#[tokio::test]
async fn accounts_are_imported_from_csv() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let good = "\u{feff}login,email,name,role\r\n\
                1001@acme,a@acme.example,\"Adams, Alice\",user\r\n\
                1002@acme,,Bob,manager\r\n";
    let (status, report) = gateway.import("?dry_run=true", good).await;
    assert_eq!((status, &report["created"]), (200, &json!(2)), "{report}");
    assert_eq!(gateway.account("1001@acme").await, Value::Null, "a dry run changes nothing");

    let (status, report) = gateway.import("", good).await;
    assert_eq!(status, 200, "{report}");
    assert_eq!(report, json!({ "created": 2, "updated": 0, "unchanged": 0, "failed": [] }));
    let adams = gateway.account("1001@acme").await;
    assert_eq!(adams["name"], "Adams, Alice");
    assert_eq!(adams["state"], "pin_only");
    assert_eq!(gateway.account("1002@acme").await["role"], "manager");

    let mixed = "login,email\n1001@acme,new@acme.example\nnonsense,\n1003@acme,no-address\n\
                 1002@acme,\n1004@acme,d@acme.example\n1004@acme,\n";
    let (status, report) = gateway.import("", mixed).await;
    assert_eq!(status, 422, "{report}");
    let lines: Vec<_> = report["failed"].as_array().unwrap().iter().map(|f| &f["line"]).collect();
    assert_eq!(lines, [3, 4, 7], "{report}");
    assert_eq!(gateway.account("1004@acme").await, Value::Null, "all or nothing");
    assert_eq!(gateway.account("1001@acme").await["email"], "a@acme.example");

    let (status, report) = gateway.import("?partial=true", mixed).await;
    assert_eq!(status, 200, "{report}");
    assert_eq!(report["failed"].as_array().unwrap().len(), 3, "{report}");
    assert_eq!((&report["created"], &report["updated"]), (&json!(1), &json!(1)), "{report}");
    assert_eq!(gateway.account("1001@acme").await["email"], "new@acme.example");

    let (status, report) = gateway.import("", "login,pin\n1005@acme,1234\n").await;
    assert_eq!(status, 422, "{report}");
    let detail = report["detail"].as_str().unwrap();
    assert!(detail.contains("`pin`") && detail.contains("never imported"), "{detail}");
    assert!(!report.to_string().contains("1234"), "{report}");
}

/// R-E1: "list/search users, … create, … disable"; unknown members are refused; never a hash or a
/// PIN in an answer.
#[tokio::test]
async fn accounts_are_listed_made_and_switched_off() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let rows: String = (100..125).map(|n| format!("{n}@acme,u{n}@acme.example\n")).collect();
    assert_eq!(gateway.import("", &format!("login,email\n{rows}")).await.0, 200);

    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/v1/accounts?tenant=ACME&limit=10{cursor}");
        let (status, page) = gateway.api("GET", &path, Value::Null).await;
        assert_eq!(status, 200, "{page}");
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 10);
        seen.extend(items.iter().map(|item| item["login"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let expected: Vec<String> = (100..125).map(|n| format!("{n}@acme")).collect();
    seen.sort();
    assert_eq!(seen, expected, "each once, none left out");
    let found = async |query: &str| {
        let path = format!("/api/v1/accounts?{query}");
        gateway.api("GET", &path, Value::Null).await.1["items"].as_array().unwrap().len()
    };
    assert_eq!(found("q=u117%40acme").await, 1);
    assert_eq!(found("q=nobody").await, 0);
    assert_eq!(found("state=password").await, 0);
    assert_eq!(gateway.api("GET", "/api/v1/accounts?limit=0", Value::Null).await.0, 400);
    assert_eq!(gateway.api("GET", "/api/v1/accounts?order=login", Value::Null).await.0, 400);

    let new = json!({ "login": "201@acme", "email": "new@acme.example", "name": "New" });
    let (status, made) = gateway.api("POST", "/api/v1/accounts", new.clone()).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(gateway.api("POST", "/api/v1/accounts", new).await.0, 409);
    let path = format!("/api/v1/accounts/{}", made["id"].as_str().unwrap());
    let (status, shown) = gateway.api("GET", &path, Value::Null).await;
    assert_eq!((status, &shown), (200, &made));
    let members: Vec<&String> = shown.as_object().unwrap().keys().collect();
    assert_eq!(
        members,
        [
            "bounced",
            "created_at",
            "email",
            "extension",
            "id",
            "initial_password_expires_at",
            "last_login_at",
            "locked_until",
            "login",
            "name",
            "password_set_at",
            "pin_write_back",
            "role",
            "state",
            "tenant"
        ]
    );
    for body in [json!({ "password": "Correct7Horse" }), json!({ "pin": "48151" })] {
        assert_eq!(gateway.api("PATCH", &path, body).await.0, 422);
    }
    let bad = json!({ "login": "202@acme", "password": "Correct7Horse" });
    assert_eq!(gateway.api("POST", "/api/v1/accounts", bad).await.0, 422);
    assert_eq!(gateway.api("GET", "/api/v1/accounts/nobody@acme", Value::Null).await.0, 404);
}

/// R-E1, security "Sessions": disabling an account ends its sessions at once; R-C5: "an
/// administrator can unlock".
#[tokio::test]
async fn disabling_and_unlocking_work_at_once() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let alice = alice();
    let client = gateway.client().signed_in(&alice).await;
    let call = async |what: &str| {
        let path = format!("/api/v1/accounts/{}/{what}", alice.login);
        gateway.api("POST", &path, Value::Null).await
    };
    let (status, shown) = call("disable").await;
    assert_eq!((status, &shown["state"]), (200, &json!("disabled")));
    let page = client.get("/portal/home").await;
    assert_eq!((page.status, page.location()), (303, "/portal/login"));
    let refused = gateway.client().log_in(&alice.login, &alice.pin).await;
    assert_eq!(refused.location(), "/portal/login");
    assert_eq!(call("enable").await.1["state"], "pin_only");
    gateway.client().signed_in(&alice).await;

    for _ in 0..5 {
        gateway.client().log_in(&alice.login, "99999").await;
    }
    assert_ne!(gateway.account(&alice.login).await["locked_until"], Value::Null);
    let refused = gateway.client().log_in(&alice.login, &alice.pin).await;
    assert_eq!(refused.location(), "/portal/login", "locked");
    assert_eq!(call("unlock").await.1["locked_until"], Value::Null);
    gateway.client().signed_in(&alice).await;
}

/// R-E2, interfaces: "tokens made by `passgate token create`; … scopes read, write"; the listener
/// does nothing without one, and health and metrics need none.
#[tokio::test]
async fn the_listener_needs_a_token() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let token = async |scope: &str| {
        let made = gateway.command(&["token", "create", "--scope", scope]).await;
        assert!(made.status.success(), "{made:?}");
        let token = out(&made).lines().next().unwrap().trim().to_owned();
        assert!(token.len() >= 32 && !token.contains(' '), "{token}");
        token
    };
    let (read, write) = (token("read").await, token("write").await);
    let http = reqwest::Client::new();
    let call = async |method: &str, path: &str, token: Option<&str>, body: Option<Value>| {
        let address = format!("http://{}{path}", gateway.admin);
        let mut request = http.request(method.parse().unwrap(), address);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap().status().as_u16()
    };
    let list = "/api/v1/accounts";
    let new = || Some(json!({ "login": "301@acme" }));
    assert_eq!(call("GET", list, None, None).await, 401);
    assert_eq!(call("GET", list, Some("made-up"), None).await, 401);
    assert_eq!(call("GET", list, Some(&read), None).await, 200);
    assert_eq!(call("POST", list, Some(&read), new()).await, 403);
    assert_eq!(gateway.account("301@acme").await, Value::Null);
    assert_eq!(call("POST", list, Some(&write), new()).await, 201);
    assert_eq!(
        call("POST", "/api/v1/tokens", Some(&write), Some(json!({"scope": "write"}))).await,
        404
    );
    for open in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(call("GET", open, None, None).await, 200, "{open}");
    }

    let tokens = gateway.command(&["token", "list", "--json"]).await;
    assert!(!out(&tokens).contains(&read), "only the hash is kept");
    let listed: Value = serde_json::from_slice(&tokens.stdout).unwrap();
    let listed = listed.as_array().or_else(|| listed["items"].as_array()).unwrap();
    let of_read = listed.iter().find(|token| token["scope"] == "read").unwrap();
    let revoked = gateway.command(&["token", "revoke", of_read["id"].as_str().unwrap()]).await;
    assert!(revoked.status.success(), "{revoked:?}");
    assert_eq!(call("GET", list, Some(&read), None).await, 401);
    for secret in [&read, &write] {
        assert!(!gateway.log().contains(secret.as_str()), "a token in the log");
    }
}

/// R-G5: `/readyz` "asks the store, the cache and the PBX; names what is missing"; `/livez` does
/// not care.
#[tokio::test]
async fn a_pbx_that_is_down_is_named() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let ask = async |path: &str| {
        let answer = reqwest::get(format!("http://{}{path}", gateway.admin)).await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    assert_eq!(ask("/readyz").await.0, 200);
    pbx.0.fail_with(Failure::Close);
    let (status, said) = ask("/readyz").await;
    assert_eq!(status, 503, "{said}");
    assert_eq!((&said["ready"], &said["missing"]), (&json!(false), &json!(["pbx"])), "{said}");
    assert_eq!(ask("/livez").await.0, 200);
    pbx.0.fail_with(Failure::None);
    assert_eq!(ask("/readyz").await.0, 200);
}

/// R-G5: the metrics of interfaces.md, with "no user names in labels".
#[tokio::test]
async fn the_metrics_have_their_names_and_nobodys() {
    let pbx = Pbx::start().await;
    let gateway = Gateway::start(&pbx).await;
    let alice = alice();
    let client = gateway.client().signed_in(&alice).await;
    client.get("/portal/home").await;
    for _ in 0..6 {
        gateway.client().log_in("canary-9@abc-company.11111.service", "99999").await;
    }
    let text = gateway.metrics().await;
    for name in [
        "requests_total{",
        "request_duration_seconds_bucket{",
        "requests_in_flight ",
        "logins_total{",
        "lockouts_total{",
        "password_hash_seconds_count ",
        "password_hash_queue ",
        "sessions_active ",
        "session_cache_hits_total ",
        "session_cache_misses_total ",
        "upstream_up{",
        "upstream_login_seconds_count{",
        "pin_drift_total ",
        "rollout_accounts{",
        "rollout_phase ",
        "certificate_expiry_timestamp_seconds{",
        "build_info{",
    ] {
        assert!(text.contains(&format!("\npassgate_{name}")), "{name}: {text}");
    }
    let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or_default();
    assert_eq!(line("passgate_sessions_active"), "passgate_sessions_active 1");
    assert_eq!(line("passgate_rollout_phase"), "passgate_rollout_phase 1");
    assert!(line("passgate_upstream_up").ends_with(" 1"), "{text}");
    assert!(text.contains("route=\"portal\"") && text.ends_with("# EOF\n"), "{text}");
    for name in ["1001", "canary", "Alice", "abc-company"] {
        assert!(!text.contains(name), "{name}: {text}");
    }
}

/// The command line: tables for people, `--json` for scripts, and exit codes.
#[tokio::test]
async fn the_command_line_speaks_to_the_running_gateway() {
    let pbx = Pbx::start().await;
    let mut gateway = Gateway::start(&pbx).await;
    let file = gateway.directory().join("users.csv");
    std::fs::write(&file, "login,email,name\n1001@acme,a@acme.example,Alice Adams\n1002@acme,,\n")
        .unwrap();
    let file = file.to_str().unwrap().to_owned();
    let imported = gateway.command(&["accounts", "import", &file]).await;
    assert_eq!(imported.status.code(), Some(0), "{imported:?}");

    let table = gateway.command(&["accounts", "list"]).await;
    let lines: Vec<String> = out(&table).lines().map(str::to_owned).collect();
    assert!(lines[0].trim_start().starts_with("LOGIN") && lines[0].contains("STATE"), "{lines:?}");
    assert!(
        lines.iter().any(|l| l.contains("1001@acme") && l.contains("Alice Adams")),
        "{lines:?}"
    );
    let listed = gateway.command(&["accounts", "list", "--json"]).await;
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let items = listed.as_array().or_else(|| listed["items"].as_array()).unwrap();
    assert_eq!(items.len(), 2, "{listed}");
    let shown = gateway.command(&["accounts", "show", "1001@acme", "--json"]).await;
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["email"], "a@acme.example");

    let unknown = gateway.command(&["accounts", "show", "9@acme"]).await;
    assert_eq!(unknown.status.code(), Some(1), "{unknown:?}");
    assert!(errors(&unknown).contains("9@acme"), "{unknown:?}");
    assert_eq!(gateway.command(&["accounts", "nonsense"]).await.status.code(), Some(2));

    assert!(gateway.stop().await);
    let absent = gateway.command(&["accounts", "list"]).await;
    assert_eq!(absent.status.code(), Some(3), "{absent:?}");
    assert!(errors(&absent).contains("passgate run"), "a hint: {absent:?}");
}

/// R-B5: "AEAD, key ring with rotation": what the old key sealed opens after a rotation and a
/// restart; a ring that is not this database's is refused.
#[tokio::test]
async fn the_key_ring_rotates_and_belongs_to_its_database() {
    let pbx = Pbx::start().await;
    let mut gateway = Gateway::start(&pbx).await;
    let alice = alice();
    let client = gateway.client().signed_in(&alice).await;
    assert_eq!(client.set_password(&alice.pin, "Correct7Horse").await.status, 303);
    let rotated = gateway.command(&["keys", "rotate"]).await;
    assert_eq!(rotated.status.code(), Some(0), "{rotated:?}");
    let keys = gateway.command(&["keys", "list", "--json"]).await;
    let keys: Value = serde_json::from_slice(&keys.stdout).unwrap();
    let keys = keys.as_array().or_else(|| keys["items"].as_array()).unwrap().clone();
    assert_eq!(keys.iter().map(|key| &key["active"]).collect::<Vec<_>>(), [false, true]);

    gateway.restart().await;
    pbx.0.clear_record();
    let fresh = gateway.client();
    let answer = fresh.log_in(&alice.login, "Correct7Horse").await;
    assert_eq!((answer.status, answer.location()), (303, "/portal/home"));
    assert_eq!(pbx.tried(), [(alice.pin.clone(), true)], "the sealed PIN opened");

    gateway.stop().await;
    let ring = gateway.directory().join("data/keyring.json");
    assert!(ring.exists());
    std::fs::remove_file(&ring).unwrap();
    let refused = gateway.command(&["run"]).await;
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let said = errors(&refused);
    assert!(said.contains("key ring does not belong to this database"), "{said}");
}

/// `config defaults` prints the whole file, and the file passes `check` once the required keys
/// are filled in; an unknown key is an error with its line and a suggestion.
#[tokio::test]
async fn the_configuration_is_printed_and_checked() {
    let directory = tempfile::TempDir::new().unwrap();
    let file = directory.path().join("passgate.toml");
    let printed = passgate(&file, &["config", "defaults"]).await;
    assert!(printed.status.success(), "{printed:?}");
    let defaults = out(&printed);
    std::fs::write(&file, &defaults).unwrap();
    let checked = passgate(&file, &["check"]).await;
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");

    let line = 1 + defaults.lines().position(|line| line.trim() == "[session]").unwrap() + 1;
    std::fs::write(&file, defaults.replacen("[session]\n", "[session]\nidel = \"4h\"\n", 1))
        .unwrap();
    let checked = passgate(&file, &["check"]).await;
    assert_eq!(checked.status.code(), Some(1), "{checked:?}");
    let said = out(&checked);
    assert!(said.contains(&format!("passgate.toml:{line}")), "the line {line}: {said}");
    assert!(said.contains("idel") && said.contains("`idle`"), "a suggestion: {said}");
    let checked = passgate(&file, &["check", "--json"]).await;
    let said: Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(
        (&said["ok"], &said["problems"][0]["line"]),
        (&json!(false), &json!(line)),
        "{said}"
    );

    let missing = passgate(&directory.path().join("none.toml"), &["check"]).await;
    assert_eq!(missing.status.code(), Some(1), "{missing:?}");
    assert!(errors(&missing).contains("none.toml"), "{missing:?}");
}

/// "Unreadable certificate → clear error at start."
#[tokio::test]
async fn an_unreadable_certificate_is_named_at_start() {
    let pbx = Pbx::start().await;
    let mut gateway = Gateway::with(&pbx, Settings::default()).await;
    gateway.stop().await;
    let certificate = gateway.directory().join("portal.pem");
    std::fs::write(&certificate, "nothing that is one").unwrap();
    for said_by in [&["run"][..], &["check", "--connect"]] {
        let refused = gateway.command(said_by).await;
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        let said = out(&refused) + &errors(&refused);
        assert!(said.contains("portal.pem holds no certificate"), "{said}");
    }
    std::fs::remove_file(&certificate).unwrap();
    let refused = gateway.command(&["run"]).await;
    let said = errors(&refused);
    assert!(said.contains("portal.pem") && said.contains("No such file"), "{said}");
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
