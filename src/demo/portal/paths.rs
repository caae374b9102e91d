//! How the portal understands a path: as carelessly as a PHP application behind Apache, so that a
//! path that a proxy reads otherwise is a way past it.

/// The path in lower case, decoded (twice), without empty, `.` and `..` segments, path parameters,
/// `index.php`, and dots or spaces at the end of a segment.
pub(super) fn canonical(path: &str) -> String {
    let decoded = decode(&decode(path.as_bytes()));
    let decoded = decoded.split(|byte| *byte == 0).next().unwrap_or_default();
    let text = String::from_utf8_lossy(decoded).replace('\\', "/").to_lowercase();
    let mut segments: Vec<&str> = Vec::new();
    for segment in text.split('/') {
        let segment = segment.split(';').next().unwrap_or_default().trim();
        match segment {
            "" | "." | "index.php" => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment.trim_end_matches(['.', ' '])),
        }
    }
    format!("/{}", segments.join("/"))
}

/// Percent-decoding, and overlong UTF-8 (two bytes for one ASCII character) as old decoders do it.
fn decode(path: &[u8]) -> Vec<u8> {
    let bytes: Vec<u8> = percent_encoding::percent_decode(path).collect();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes.as_slice();
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (0xc0 | 0xc1, [second @ 0x80..=0xbf, after @ ..]) => {
                decoded.push(((first & 1) << 6) | (second & 0x3f));
                rest = after;
            }
            _ => {
                decoded.push(*first);
                rest = tail;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::canonical;

    /// The careless spellings of security.md all reach the login page.
    #[test]
    fn many_spellings_are_one_path() {
        for path in [
            "/portal/login",
            "//portal/login",
            "/portal//login/",
            "/portal/./login",
            "/portal/x/../login",
            "/portal/%2e%2e/portal/login",
            "/portal%2flogin",
            "/portal%5clogin",
            "/portal\\login",
            "/portal/login;jsessionid=1",
            "/portal/x/..;/login",
            "/portal/login.",
            "/portal/login%20",
            "/portal/%256cogin",
            "/Portal/LOGIN",
            "/portal/login%00.css",
            "/portal%c0%aflogin",
            "/portal/index.php/login",
            "/index.php/portal/login",
        ] {
            assert_eq!(canonical(path), "/portal/login", "{path}");
        }
        assert_eq!(canonical("/../.."), "/");
        assert_eq!(canonical("/portal/home/checkSession"), "/portal/home/checksession");
    }
}
