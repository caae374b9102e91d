//! What is told about `[[token]]` and `[[whoami]]`.

use crate::profile::Profile;

/// The problems of a profile with one part replaced, as `LINE: MESSAGE (HINT)`.
fn problems(from: &str, to: &str) -> (Vec<(Option<usize>, String)>, Option<usize>) {
    let text = Profile::builtin("netsapiens").unwrap();
    assert!(text.contains(from), "{from}");
    let text = text.replacen(from, to, 1);
    let line = text.lines().position(|line| to.lines().any(|to| to == line)).map(|line| line + 1);
    let problems = Profile::parse(&text, "x.toml").unwrap_err();
    (problems.0.iter().map(|problem| (problem.line, problem.to_string())).collect(), line)
}

/// configuration.md: what is wrong is told with its line and what to do.
#[test]
fn mistakes_are_told() {
    let js = "name = \"netsapiensJs\"\n";
    for (from, to, told) in [
        (
            "paths = [\"/ns-api/v2/jwt\", \"/ns-api/v2/jwt/\"]",
            "paths = [\"/ns-api/v2/jwt/*\"]",
            "are exact",
        ),
        ("methods = [\"POST\", \"GET\"]    ", "methods = [\"GET\"]    ", "must answer to POST"),
        (
            "revoke_methods = [\"DELETE\"]",
            "revoke_methods = [\"POST\"]",
            "cannot both give and end",
        ),
        ("default_grant = \"password\"", "default_grant = \"refresh_token\"", "none of grants"),
        (js, "name = \"oauth2\"\n", "two token endpoints"),
        (js, "name = \"netsapiensJs\"\nowner_login = \"/login\"\n", "or by owner_login"),
        (js, "name = \"netsapiensJs\"\nfields = { username = \"password\" }\n", "two fields"),
        ("access = \"/token\"", "access = \"token\"", "begins with `/`"),
        ("owner_user = \"jwt:/user\"", "owner_user = \"jwt:user\"", "begins with `/`"),
        (
            "carried = [\"format\", ",
            "carried = [\"User[name\", \"password[]\", ",
            "put in by Passgate",
        ),
        ("challenge = [{ pointer = \"/mfa", "challenge = [{ pointer = \"mfa", "begins with `/`"),
        ("client_in_basic = true", "client_basic = true", "did you mean `client_in_basic`?"),
        ("grants = [\"password\", \"mfa\"]", "grants = [\"pasword\"]", "unknown variant"),
        (
            "/domains/~/users/~\"\nuser",
            "/domains/~/users/{extension}\"\nuser",
            "cannot name the user",
        ),
        ("user = \"/0/user\"\ntenant = \"/0/domain\"", "", "where the answer names"),
        ("user = \"/0/user\"\n", "", "or by login"),
        ("user = \"/0/user\"", "user = \"jwt:/user\"", "begins with `/`"),
    ] {
        let (found, line) = problems(from, to);
        let told_so = found.iter().find(|(_, problem)| problem.contains(told));
        let (at, _) = told_so.unwrap_or_else(|| panic!("{to}: {found:#?}"));
        assert!(at.is_some(), "{told}: no line");
        assert!(line.is_none() || line == *at || to.contains('\n'), "{to}: {at:?}, not {line:?}");
    }
}
