//! The links in the portal's own login form (R-C1): "Forgot password?", "Forgot login name?", "Are
//! you a new user?".

use reqwest::Method;

use crate::support::{Gateway, Pbx, Settings, Smtp, alice};

const LINKS: [(&str, &str); 3] = [
    ("/account/forgot-password", "Forgot password?"),
    ("/account/forgot-login-name", "Forgot login name?"),
    ("/account/new-user", "Are you a new user?"),
];

/// R-C1: the links come after the profile's element and lead to our pages; the page is otherwise
/// the PBX's, also when the PBX compresses and forbids all that is inline.
#[tokio::test(flavor = "multi_thread")]
async fn the_login_form_has_the_links() {
    let pbx = Pbx::with(|options| {
        options.gzip = true;
        options.strict_csp = true;
    })
    .await;
    let smtp = Smtp::start().await;
    let silent = Gateway::start(&pbx).await;
    let gateway = Gateway::with(&pbx, Settings::with_mail("warn", &smtp)).await;
    for (protocol, client) in gateway.both_protocols() {
        for path in ["/portal/login", "/portal/login/index"] {
            let request = client.request(Method::GET, path).header("accept-encoding", "gzip, br");
            let page = client.send(request).await;
            let text = page.text();
            assert_eq!(text.matches("id=\"passgate-links\"").count(), 1, "{protocol}: {text}");
            let links = element(&text);
            for (place, words) in LINKS {
                assert!(links.contains(&format!("<a href=\"{place}\">{words}</a>")), "{links}");
                assert_eq!(client.get(place).await.status, 200, "{place}");
            }
            for inline in ["style=", "<style", "<script", "onclick", "javascript:"] {
                assert!(!links.contains(inline), "a strict policy forbids {inline}: {links}");
            }
            assert!(links.is_ascii(), "right in every character set");
            let before = &text[..text.find(links).unwrap()];
            assert!(before.ends_with("</form>"), "after the form: {before}");
            assert_eq!(page.header("cache-control"), Some("no-store"), "{protocol}");
            assert_eq!(page.header("content-encoding"), None);
            let plain = silent.client().get(path).await;
            for kept in ["content-type", "content-security-policy"] {
                assert_eq!(page.header(kept), plain.header(kept), "{protocol}");
            }
            assert!(!plain.text().contains("passgate"), "without e-mail: {}", plain.text());
            // The forms' tokens are those of two visitors.
            let tags = |page: &str| {
                let token = page.split("[_Token][key]\" value=\"").nth(1).unwrap();
                page.replace(token.split('"').next().unwrap(), "")
            };
            assert_eq!(tags(&text.replacen(links, "", 1)), tags(&plain.text()), "{protocol}");
        }
    }
}

/// R-C1: on the login pages only, and only in pages: not in what scripts fetch, not within the
/// portal.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_login_page_has_the_links() {
    let (pbx, smtp) = (Pbx::start().await, Smtp::start().await);
    let gateway = Gateway::with(&pbx, Settings::with_mail("warn", &smtp)).await;
    let stranger = gateway.client();
    let fetched = stranger.fetch("/portal/login").await;
    assert!(!fetched.text().contains("passgate-links"), "{}", fetched.text());
    for path in ["/portal/css/portal.css", "/account/forgot-password"] {
        assert!(!stranger.get(path).await.text().contains("passgate-links"), "{path}");
    }
    let head = stranger.send(stranger.request(Method::HEAD, "/portal/login")).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    let client = gateway.client().signed_in(&alice()).await;
    for path in ["/portal/home", "/portal/calls", "/portal/profile"] {
        let page = client.get(path).await;
        assert!(!page.text().contains("passgate-links"), "{path}");
    }
}

/// R-C1, texts.md "locked": links and message stand side by side, the login name is kept; the lock
/// names the way out and links to it.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_leads_to_the_form() {
    let (pbx, smtp) = (Pbx::start().await, Smtp::start().await);
    let gateway = Gateway::with(&pbx, Settings::with_mail("warn", &smtp)).await;
    let client = gateway.client();
    for number in 0..6 {
        let answer = client.log_in(&alice().login, "Wrong-Lighthouse-7").await;
        assert_eq!(answer.location(), "/portal/login", "{number}");
        let text = client.get("/portal/login").await.text();
        let message = text.find("id=\"passgate-message\"").expect("a message");
        let form = text.find("<form").expect("the form");
        let links = text.find("id=\"passgate-links\"").expect("links");
        assert!(message < form && form < links, "{text}");
        assert!(text.contains("1001@abc-company.11111.service"), "the login name is kept");
        let locked = text.contains(
            "Too many attempts. Wait 15 minutes, or use <a href=\"/account/forgot-password\">",
        );
        assert_eq!(locked, number == 5, "{number}: {text}");
    }
    let again = client.get("/portal/login").await.text();
    assert!(again.contains("passgate-links") && !again.contains("passgate-message"), "told once");
}

/// The element with the links: it holds no other `div`.
fn element(page: &str) -> &str {
    let start = page.find("<div id=\"passgate-links\"").unwrap();
    let end = page[start..].find("</div>").unwrap();
    &page[start..start + end + "</div>".len()]
}
