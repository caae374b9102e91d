//! A forgiving reader of multipart bodies: the boundary is taken from the body itself.

/// Name and value of every part that has a name.
pub(super) fn parts(body: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(body);
    let Some(start) = text.find("--") else { return Vec::new() };
    let text = &text[start..];
    let boundary = text.lines().next().unwrap_or_default().trim_end();
    if boundary.len() <= 2 {
        return Vec::new();
    }
    text.split(boundary).skip(1).filter_map(part).collect()
}

fn part(text: &str) -> Option<(String, String)> {
    let text = text.strip_prefix("\r\n").or_else(|| text.strip_prefix('\n'))?;
    let (head, value) = text.split_once("\r\n\r\n").or_else(|| text.split_once("\n\n"))?;
    let value = value.strip_suffix("\r\n").or_else(|| value.strip_suffix('\n')).unwrap_or(value);
    let disposition =
        head.lines().find(|line| line.to_lowercase().starts_with("content-disposition"))?;
    let name = disposition.split(';').map(str::trim).find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        key.trim().eq_ignore_ascii_case("name").then_some(value)
    })?;
    Some((name.trim().trim_matches('"').to_owned(), value.to_owned()))
}
