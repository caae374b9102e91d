//! Every shape in which a client might hand a credential to a PBX portal.
//!
//! Each is bytes on a connection, so that the same bytes can be sent to the portal itself (does it
//! log in by them?) and to the gateway (it must not).

mod request;

use std::io::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use self::request::{Request, fill, flat, form, get, json, multipart, pair, post};
use super::Person;

/// Stands in every request as a header field, and in every form as a field: what carries it are
/// the client's own bytes.
pub const MARK: &str = "bytes-of-the-client";

/// What a shape is filled in with.
#[derive(Debug, Clone)]
pub struct Guess {
    pub host: String,
    pub cookie: String,
    /// The hidden token of the login form in the session of `cookie`.
    pub token: String,
    pub person: Person,
}

/// One shape.
pub struct Shape {
    pub name: String,
    /// Whether the careless portal takes the credential from it. If it does not, the shape is here
    /// because another portal would.
    pub careless: bool,
    build: Box<dyn Fn(&Guess) -> Request + Send + Sync>,
}

impl Shape {
    pub fn bytes(&self, guess: &Guess) -> Vec<u8> {
        (self.build)(guess).bytes(guess)
    }
}

/// All of them.
pub fn shapes() -> Vec<Shape> {
    let mut all = Vec::new();
    paths(&mut all);
    methods(&mut all);
    bodies(&mut all);
    names(&mut all);
    elsewhere(&mut all);
    headers(&mut all);
    tokens(&mut all);
    side_doors(&mut all);
    all
}

fn paths(all: &mut Vec<Shape>) {
    for target in [
        "/portal/login",
        "//portal/login",
        "/portal//login",
        "/./portal/login",
        "/portal/./login",
        "/portal/x/../login",
        "/portal/css/../login",
        "/account/../portal/login",
        "/ns-api/../portal/login",
        "/portal/%2e/login",
        "/portal/%2e%2e/portal/login",
        "/portal/css/%2e%2E/login",
        "/portal%2flogin",
        "/portal%2Flogin",
        "/%2fportal/login",
        "/portal%5clogin",
        "/portal%5C..%5cportal%5clogin",
        "/portal\\login",
        "/portal/css\\..\\login",
        "/portal/login;x",
        "/portal/login;jsessionid=1",
        "/portal/login%3bx",
        "/portal;x/login",
        "/portal/x/..;/login",
        "/portal/css/..;/login",
        "/portal/login/",
        "/portal/login//",
        "/portal/login.",
        "/portal/login/.",
        "/portal/login%2e",
        "/portal/login%20",
        "/portal/%20login",
        "/portal/%6cogin",
        "/portal/%6Cogin",
        "/portal/%256cogin",
        "/portal%252flogin",
        "/portal/%252e%252e/portal/login",
        "/Portal/LOGIN",
        "/portal/Login/index",
        "/portal/login/INDEX",
        "/portal/login/index",
        "/portal/login/index/",
        "/portal/login%00",
        "/portal/login%00.css",
        "/portal/login%2500.css",
        "/portal%c0%aflogin",
        "/portal/%c1%acogin",
        "/portal/index.php/login",
        "/portal/login/index.php",
        "/index.php/portal/login",
        "/portal/INDEX.PHP/login",
        "/portal/login?next=/portal/css/x.css",
        "/portal/login?.css",
    ] {
        login(all, &format!("path {target}"), true, move |guess| post(target, form(guess)));
    }
    for scheme in ["https", "http", "HTTPS"] {
        login(all, &format!("absolute form, {scheme}"), true, move |guess| {
            let target = format!("{scheme}://{}/portal/login", guess.host);
            post(&target, form(guess))
        });
    }
    for target in [
        "/portal/login%3fx=.css",
        "/portal/login%23.css",
        "/portal/login.php",
        "/portal/login%09",
        "/portal/login/index/1",
        "/portal/app/webroot/index.php/login",
    ] {
        // There is no such page, but the portal takes credentials everywhere.
        login(all, &format!("path {target}"), true, move |guess| post(target, form(guess)));
    }
}

fn methods(all: &mut Vec<Shape>) {
    for method in ["PUT", "PATCH", "DELETE", "OPTIONS", "GET", "post", "Post", "LOGIN"] {
        login(all, &format!("method {method}"), true, move |guess| Request {
            method,
            ..post("/portal/login", form(guess))
        });
    }
    for method in ["GET", "HEAD", "POST", "PUT"] {
        for path in ["/portal/login", "/portal/login/index"] {
            login(all, &format!("{method} {path}?query"), true, move |guess| Request {
                method,
                ..get(&format!("{path}?{}", form(guess)))
            });
        }
    }
    login(all, "GET with X-HTTP-Method-Override", true, |guess| {
        get(&format!("/portal/login?{}", form(guess))).header("X-HTTP-Method-Override", "POST")
    });
    login(all, "GET with _method", true, |guess| {
        get(&format!("/portal/login?_method=PUT&{}", pair(guess)))
    });
    login(all, "POST overridden to GET", true, |guess| {
        post("/portal/login", form(guess)).header("X-HTTP-Method-Override", "GET")
    });
    login(all, "PUT overridden to POST on a page", true, |guess| {
        let request = post("/portal/home", form(guess));
        Request { method: "PUT", ..request }.header("X-HTTP-Method-Override", "POST")
    });
}

fn bodies(all: &mut Vec<Shape>) {
    // At the login endpoint, and on a page that has nothing to do with it.
    for path in ["/portal/login", "/portal/home", "/portal/profile"] {
        for (kind, body) in body_shapes() {
            login(all, &format!("{kind} to {path}"), true, move |guess| {
                body(guess, post(path, String::new()))
            });
        }
    }
}

type BodyShape = fn(&Guess, Request) -> Request;

fn body_shapes() -> [(&'static str, BodyShape); 22] {
    [
        ("urlencoded", |guess, request| request.body(form(guess))),
        ("multipart", |guess, request| {
            request.kind("multipart/form-data; boundary=B").body(multipart(guess))
        }),
        ("multipart without a boundary", |guess, request| {
            request.kind("multipart/form-data").body(multipart(guess))
        }),
        ("multipart/mixed", |guess, request| {
            request.kind("multipart/mixed; boundary=\"B\"").body(multipart(guess))
        }),
        ("JSON", |guess, request| request.kind("application/json").body(json(guess))),
        ("JSON, flat", |guess, request| request.kind("application/json").body(flat(guess))),
        ("JSON as text/plain", |guess, request| request.kind("text/plain").body(json(guess))),
        ("JSON of a vendor", |guess, request| {
            request.kind("application/vnd.api+json; charset=utf-8").body(json(guess))
        }),
        ("JSON as a form", |guess, request| request.body(json(guess))),
        ("no Content-Type", |guess, request| request.without_kind().body(form(guess))),
        ("empty Content-Type", |guess, request| request.kind("").body(form(guess))),
        ("form as text/plain", |guess, request| request.kind("text/plain").body(form(guess))),
        ("form as text/xml", |guess, request| request.kind("text/xml").body(form(guess))),
        ("form as octet-stream", |guess, request| {
            request.kind("application/octet-stream").body(form(guess))
        }),
        ("form of an unknown kind", |guess, request| request.kind("x/y").body(form(guess))),
        ("UTF-16 LE", |guess, request| {
            let wide = form(guess).encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
            request.kind("application/x-www-form-urlencoded; charset=utf-16le").body(wide)
        }),
        ("UTF-16 BE with a mark", |guess, request| {
            let form = form(guess);
            let wide = form.encode_utf16().flat_map(u16::to_be_bytes);
            let wide = [0xfe, 0xff].into_iter().chain(wide).collect::<Vec<_>>();
            request.kind("application/x-www-form-urlencoded; charset=UTF-16").body(wide)
        }),
        ("UTF-7", |guess, request| {
            request.kind("application/x-www-form-urlencoded; charset=utf-7").body(form(guess))
        }),
        ("gzip", |guess, request| {
            let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packer.write_all(form(guess).as_bytes()).unwrap();
            request.header("Content-Encoding", "gzip").body(packer.finish().unwrap())
        }),
        ("chunked", |guess, request| Request { chunked: true, ..request.body(form(guess)) }),
        ("Expect: 100-continue", |guess, request| {
            request.header("Expect", "100-continue").body(form(guess))
        }),
        ("two kinds", |guess, request| {
            request.header("Content-Type", "text/plain").body(form(guess))
        }),
    ]
}

fn names(all: &mut Vec<Shape>) {
    const USER: &str = "data[Login][username]";
    const SECRET: &str = "data[Login][password]";
    for path in ["/portal/login", "/portal/home"] {
        for (name, user, secret) in [
            ("a percent-encoded letter", "d%61ta[Login][username]", "data[Login][p%61ssword]"),
            (
                "everything percent-encoded",
                "%64ata%5bLogin%5D[username]",
                "data%5BLogin%5D%5Bpassword%5D",
            ),
            ("a list", "data[Login][username][]", "data[Login][password][]"),
            ("an index", "data[Login][username][0]", "data[Login][password][7]"),
            ("a list, encoded", "data[Login][username]%5b%5d", "data[Login][password]%5B]"),
            ("a leading plus", "+data[Login][username]", "+data[Login][password]"),
            ("a leading space", "%20data[Login][username]", "%20%20data[Login][password]"),
            ("a NUL behind", "data[Login][username]%00", "data[Login][password]%00x"),
            ("one NUL", USER, "data[Login][password]%00[]"),
        ] {
            login(all, &format!("names with {name} to {path}"), true, move |guess| {
                let body =
                    fill(guess, "&", &[(user, &guess.person.login), (secret, &guess.person.pin)]);
                post(path, body)
            });
        }
        login(all, &format!("semicolons to {path}"), true, move |guess| {
            let fields = [(USER, guess.person.login.as_str()), (SECRET, &guess.person.pin)];
            post(path, fill(guess, ";", &fields))
        });
        login(all, &format!("duplicates to {path}"), true, move |guess| {
            let Person { login, pin } = &guess.person;
            let fields = [(USER, "nobody"), (SECRET, "0000"), (USER, login), (SECRET, pin)];
            post(path, fill(guess, "&", &fields))
        });
        login(all, &format!("a duplicate as a list to {path}"), true, move |guess| {
            let Person { login, pin } = &guess.person;
            let fields =
                [(USER, login.as_str()), (SECRET, "00000"), ("data[Login][password][]", pin)];
            post(path, fill(guess, "&", &fields))
        });
        login(
            all,
            &format!("user in the query, secret in the body, to {path}"),
            true,
            move |guess| {
                let query = format!("{path}?{USER}={}", guess.person.login);
                post(&query, fill(guess, "&", &[(SECRET, &guess.person.pin)]))
            },
        );
        login(
            all,
            &format!("secret in the query, user in the body, to {path}"),
            true,
            move |guess| {
                let query = format!("{path}?{SECRET}={}", guess.person.pin);
                post(&query, fill(guess, "&", &[(USER, &guess.person.login)]))
            },
        );
        login(all, &format!("the query with semicolons to {path}"), true, move |guess| {
            get(&format!("{path}?a;{}", pair(guess).replace('&', ";")))
        });
        login(all, &format!("encoded names in the query to {path}"), true, move |guess| {
            let query = pair(guess).replace("data[", "d%61ta%5B");
            get(&format!("{path}?{query}"))
        });
        login(all, &format!("names behind a long field to {path}"), true, move |guess| {
            post(path, format!("x={}&{}", "y".repeat(40_000), form(guess)))
        });
        login(all, &format!("a body over the limit to {path}"), true, move |guess| {
            post(path, format!("{}&x={}", form(guess), "y".repeat(1_200_000)))
        });
    }
    login(all, "a fragment with credentials", false, |guess| {
        get(&format!("/portal/login#{}", pair(guess)))
    });
}

/// Credentials on pages and files where nobody would expect a login.
fn elsewhere(all: &mut Vec<Shape>) {
    for path in [
        "/portal",
        "/portal/",
        "/portal/home",
        "/portal/home/checkSession",
        "/portal/js/poll.js",
        "/portal/css/none.css",
        "/portal/login/logout",
        "/portal/login/mfa/1",
        "/portal/upload",
        "/portal/big",
        "/portal/nothing",
    ] {
        login(all, &format!("query on {path}"), true, move |guess| {
            get(&format!("{path}?{}", pair(guess)))
        });
        login(all, &format!("GET with a body on {path}"), path != "/portal/upload", move |guess| {
            Request { method: "GET", ..post(path, form(guess)) }
        });
        login(all, &format!("Basic on {path}"), true, move |guess| get(path).basic(guess));
    }
}

fn headers(all: &mut Vec<Shape>) {
    login(all, "Basic in lower case", true, |guess| {
        let request = get("/portal/home").basic(guess);
        request.map_header("Authorization", |value| value.replacen("Basic", "basic", 1))
    });
    login(all, "Basic with the login's POST", true, |guess| {
        post("/portal/login", String::new()).basic(guess)
    });
    login(all, "Basic behind another Authorization", false, |guess| {
        get("/portal/home").header("Authorization", "Bearer x").basic(guess)
    });
    login(all, "Basic before another Authorization", true, |guess| {
        get("/portal/home").basic(guess).header("Authorization", "Bearer x")
    });
    login(all, "Basic on the API", true, |guess| {
        get("/ns-api/?object=subscriber&action=read&format=json").basic(guess)
    });
    login(all, "Basic on the API, v2", true, |guess| {
        get("/ns-api/v2/domains/abc-company.11111.service/users").basic(guess)
    });
    login(all, "Basic on an API path spelled otherwise", true, |guess| {
        get("//NS-API/?object=subscriber&action=read").basic(guess)
    });
    let upgrade = |request: Request| {
        Request { connection: "Upgrade", ..request }
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
    };
    login(all, "WebSocket with credentials in the query", true, move |guess| {
        upgrade(get(&format!("/portal/socket?{}", pair(guess))))
    });
    login(all, "WebSocket with Basic", true, move |guess| {
        upgrade(get("/portal/socket").basic(guess))
    });
    login(all, "Upgrade with a form", true, move |guess| {
        upgrade(Request { method: "GET", ..post("/portal/home", form(guess)) })
    });
    for host in
        ["other.example", "127.0.0.1", "pbx.internal.example:9080", "LOCALHOST", "localhost:1"]
    {
        login(all, &format!("Host {host}"), true, move |guess| Request {
            host: Some(host),
            ..post("/portal/login", form(guess))
        });
    }
}

fn tokens(all: &mut Vec<Shape>) {
    const CLIENT: &str = "client_id=officevoice-app&client_secret=0ff1ce-v01ce-5ecret";
    fn grant(guess: &Guess) -> String {
        let Person { login, pin } = &guess.person;
        format!("grant_type=password&{CLIENT}&username={login}&password={pin}&mark={MARK}")
    }
    fn grant_json(guess: &Guess) -> String {
        let Person { login, pin } = &guess.person;
        serde_json::json!({
            "grant_type": "password", "client_id": "officevoice-app",
            "client_secret": "0ff1ce-v01ce-5ecret", "username": login, "password": pin, "mark": MARK,
        })
        .to_string()
    }
    for path in [
        "/ns-api/oauth2/token",
        "/ns-api/oauth2/token/",
        "//ns-api//oauth2/token",
        "/ns-api/./oauth2/token",
        "/portal/../ns-api/oauth2/token",
        "/ns-api/oauth2/%74oken",
        "/ns-api/oauth2/%2574oken",
        "/ns-api/oauth2%2ftoken",
        "/ns-api/oauth2\\token",
        "/ns-api/oauth2/token;x",
        "/ns-api/oauth2/token%00",
        "/NS-API/oauth2/Token",
        "/ns-api/OAUTH2/token",
        "/ns-api/index.php/oauth2/token",
        "/index.php/ns-api/oauth2/token",
        "/ns-api/v2/tokens",
        "/ns-api/v2/Tokens",
        "/ns-api/v2//tokens/",
        "/ns-api/v2/tokens.",
    ] {
        login(all, &format!("token by form at {path}"), true, move |guess| {
            post(path, grant(guess))
        });
        login(all, &format!("token by JSON at {path}"), true, move |guess| {
            post(path, String::new()).kind("application/json").body(grant_json(guess))
        });
        login(all, &format!("token by GET at {path}"), true, move |guess| {
            get(&format!("{path}?{}", grant(guess)))
        });
        login(all, &format!("token by query and empty POST at {path}"), true, move |guess| {
            post(&format!("{path}?{}", grant(guess)), String::new())
        });
        // With a bearer that names the session's own account (R-F5).
        login(all, &format!("token with a bearer at {path}"), true, move |guess| {
            post(path, grant(guess)).header("Authorization", &bearer_of_bob())
        });
    }
    login(all, "Basic beside a bearer on the API", false, |guess| {
        let request = get("/ns-api/?object=subscriber&action=read");
        request.header("Authorization", &bearer_of_bob()).basic(guess)
    });
    login(all, "a bearer beside Basic on the API", true, |guess| {
        let request = get("/ns-api/?object=subscriber&action=read");
        request.basic(guess).header("Authorization", &bearer_of_bob())
    });
}

/// A token that says it is Bob's; its signature is worth nothing.
fn bearer_of_bob() -> String {
    let claims = r#"{"user":"1002","domain":"abc-company.11111.service"}"#;
    format!("Bearer e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(claims))
}

fn side_doors(all: &mut Vec<Shape>) {
    for path in [
        "/portal/users/checkPassword",
        "/portal/users/checkpassword",
        "/portal//users/checkPassword/",
        "/portal/Users/CHECKPASSWORD",
        "/portal/users/checkPassword/1",
        "/portal/login/ssoEnroll",
        "/portal/login/ssoenroll/",
        "/portal/resets",
        "/portal/resets/start",
        "/portal/Resets/start",
        "/portal/%72esets/start",
    ] {
        let careless = path != "/portal/users/checkPassword/1";
        for (user, secret) in
            [("username", "password"), ("login", "pin"), ("user", "data[User][password]")]
        {
            login(all, &format!("{user} and {secret} by POST at {path}"), careless, move |guess| {
                let Person { login, pin } = &guess.person;
                post(path, fill(guess, "&", &[(user, login), (secret, pin)]))
            });
            login(all, &format!("{user} and {secret} by GET at {path}"), careless, move |guess| {
                let Person { login, pin } = &guess.person;
                get(&format!("{path}?{}", fill(guess, "&", &[(user, login), (secret, pin)])))
            });
        }
    }
}

fn login(
    all: &mut Vec<Shape>,
    name: &str,
    careless: bool,
    build: impl Fn(&Guess) -> Request + Send + Sync + 'static,
) {
    all.push(Shape { name: name.to_owned(), careless, build: Box::new(build) });
}
