//! Character sets, as far as they matter to somebody who reads only ASCII out of a body.

/// The value of the `charset` parameter of a media type.
pub(super) fn charset_of(media_type: &str) -> Option<&str> {
    media_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches(['"', '\'']))
    })
}

/// Whether ASCII text is written with other bytes in this character set, or the bytes of ASCII
/// mean something else in it.
pub(super) fn hides_ascii(charset: &str) -> bool {
    const PREFIXES: [&str; 11] = [
        "utf-16", "utf16", "utf-32", "utf32", "utf-7", "utf7", "ucs-", "ucs2", "unicode",
        "iso-2022", "hz-gb",
    ];
    let charset = charset.to_ascii_lowercase();
    PREFIXES.iter().any(|prefix| charset.starts_with(prefix)) || charset.contains("ebcdic")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charsets_that_hide_ascii() {
        assert_eq!(charset_of("text/html; charset=\"UTF-8\""), Some("UTF-8"));
        assert_eq!(charset_of("text/html; x=y; CHARSET = latin1"), Some("latin1"));
        assert_eq!(charset_of("text/html"), None);
        for hidden in ["UTF-16LE", "utf-7", "ISO-2022-JP", "cp037-ebcdic", "UCS-2"] {
            assert!(hides_ascii(hidden), "{hidden}");
        }
        for plain in ["utf-8", "iso-8859-1", "windows-1252", "Shift_JIS", "gb18030", ""] {
            assert!(!hides_ascii(plain), "{plain}");
        }
    }
}
