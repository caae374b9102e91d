//! Fields of a `multipart/form-data` body (RFC 7578), as curl, browsers and app frameworks write it.
//!
//! The libraries for this read streams and forgive much; here the body is small and at hand, and
//! forgiving is what must not happen: preambles, folded headers, encodings and files are refused.

use super::{BadShape, bad};

/// Name–value pairs in their order.
pub(in crate::profile) fn parse(
    body: &[u8],
    boundary: &str,
) -> Result<Vec<(String, String)>, BadShape> {
    let text = std::str::from_utf8(body).map_err(|_| bad("the form is not UTF-8"))?;
    let broken = bad("the multipart form cannot be read");
    let delimiter = format!("\r\n--{boundary}");
    let mut rest = text.strip_prefix(&delimiter[2..]).ok_or(broken)?;
    let mut fields = Vec::new();
    loop {
        match rest {
            "--" | "--\r\n" => return Ok(fields),
            _ => {}
        }
        let part = rest.strip_prefix("\r\n").ok_or(broken)?;
        let (part, behind) = part.split_once(&delimiter).ok_or(broken)?;
        let (head, value) = part.split_once("\r\n\r\n").ok_or(broken)?;
        fields.push((name(head)?, value.to_owned()));
        rest = behind;
    }
}

/// The name that a part's headers give it.
fn name(head: &str) -> Result<String, BadShape> {
    let broken = bad("a part of the multipart form cannot be read");
    let mut name = None;
    for line in head.split("\r\n") {
        let (field, value) = line.split_once(':').ok_or(broken)?;
        let value = value.trim();
        if line.chars().any(char::is_control) || line.starts_with(' ') {
            return Err(broken);
        }
        match field.to_ascii_lowercase().as_str() {
            "content-disposition" if name.is_none() => name = Some(disposition(value)?),
            "content-type" if is_plain_text(value) => {}
            "content-transfer-encoding"
                if ["7bit", "8bit", "binary"].iter().any(|it| value.eq_ignore_ascii_case(it)) => {}
            "content-length" => {}
            _ => return Err(broken),
        }
    }
    name.ok_or(broken)
}

/// `form-data; name="x"`, quoted or not. A file, or a name in any encoding, is no field.
fn disposition(value: &str) -> Result<String, BadShape> {
    let broken = bad("a part of the multipart form is no plain field");
    let (kind, name) = value.split_once(';').ok_or(broken)?;
    let (key, name) = name.split_once('=').ok_or(broken)?;
    if !kind.trim().eq_ignore_ascii_case("form-data") || !key.trim().eq_ignore_ascii_case("name") {
        return Err(broken);
    }
    let name = name.trim();
    let name = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name);
    if name.is_empty() || name.contains(['"', '\'', '\\', ';', ',']) {
        return Err(broken);
    }
    Ok(name.to_owned())
}

fn is_plain_text(media_type: &str) -> bool {
    let (essence, parameter) = media_type.split_once(';').unwrap_or((media_type, ""));
    let parameter = parameter.replace([' ', '"'], "");
    essence.trim().eq_ignore_ascii_case("text/plain")
        && ["", "charset=utf-8", "charset=us-ascii"]
            .iter()
            .any(|known| parameter.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R-F1: the bodies of real clients, with what they put around a value.
    #[test]
    fn forms_of_real_clients() {
        for head in [
            "Content-Disposition: form-data; name=\"a b\"",
            "content-disposition:form-data;name=\"a b\"\r\ncontent-length: 3",
            "Content-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; name=a b",
        ] {
            let body = format!("--x\r\n{head}\r\n\r\n1\r\n2 é\r\n--x--\r\n");
            let fields = parse(body.as_bytes(), "x").unwrap();
            assert_eq!(fields, [("a b".to_owned(), "1\r\n2 é".to_owned())], "{head}");
        }
        assert_eq!(parse(b"--x--", "x"), Ok(vec![]));
    }

    /// security.md, bypass by body: what another reader might read otherwise is refused.
    #[test]
    fn everything_else_is_refused() {
        let good = "Content-Disposition: form-data; name=\"a\"";
        for head in [
            "",
            "X: y",
            "Content-Disposition: form-data",
            "Content-Disposition: form-data; name=\"\"",
            "Content-Disposition: form-data; name=\"a\"; name=\"b\"",
            "Content-Disposition: form-data; name=\"a\"; filename=\"f\"",
            "Content-Disposition: form-data; filename=\"f\"",
            "Content-Disposition: form-data; name*=utf-8''a",
            "Content-Disposition: form-data;\r\n name=\"a\"",
            "Content-Disposition: form-data; name=\"a\\\"b\"",
            "Content-Disposition: attachment; name=\"a\"",
            "Content-Disposition : form-data; name=\"a\"",
            &format!("{good}\r\n{good}"),
            &format!("{good}\r\nContent-Transfer-Encoding: base64"),
            &format!("{good}\r\nContent-Type: text/plain; charset=utf-16"),
            &format!("{good}\nX: y"),
        ] {
            let body = format!("--x\r\n{head}\r\n\r\n1\r\n--x--\r\n");
            assert!(parse(body.as_bytes(), "x").is_err(), "{head:?}");
        }
        for body in [
            "",
            "--x\r\n",
            "preamble\r\n--x--\r\n",
            "\r\n--x--\r\n",
            "--x--\r\nepilogue",
            &format!("--x\r\n{good}\r\n\r\n1\r\n--x"),
            &format!("--x\r\n{good}\r\n\r\n1\r\n--xy--"),
            &format!("--x\n{good}\n\n1\n--x--\n"),
            &format!("--x \r\n{good}\r\n\r\n1\r\n--x--"),
            &format!("--x\r\n{good}\r\n1\r\n--x--"),
        ] {
            assert!(parse(body.as_bytes(), "x").is_err(), "{body:?}");
        }
        assert!(parse(b"--x\r\n\xff", "x").is_err());
    }
}
