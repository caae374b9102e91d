//! What the PBX's login page holds: the form's hidden inputs, and tokens in meta elements.

use std::cell::RefCell;

use htmlize::unescape_attribute;
use lol_html::{HtmlRewriter, Settings, element, end_tag};

/// A login page as far as a login needs it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct LoginPage {
    /// Hidden inputs of the login form, in order; `None`: no form has the user-name field.
    pub(super) hidden: Option<Vec<(String, String)>>,
    /// Content of the meta element that was asked for.
    pub(super) meta: Option<String>,
}

/// A form while it is read.
#[derive(Default)]
struct Form {
    hidden: Vec<(String, String)>,
    has_user: bool,
    closed: bool,
}

/// Reads a page (UTF-8, perhaps cut off at its end). The login form is the first one with an input
/// named `user_field`; names of its hidden inputs may be anything.
pub(super) fn read(html: &[u8], user_field: &str, meta_name: Option<&str>) -> LoginPage {
    // The end-tag handler must own what it touches; everything else lives on this stack.
    let forms = std::rc::Rc::new(RefCell::new(Vec::<Form>::new()));
    let meta = RefCell::new(None);
    // Not strict: a page that is ambiguous to a parser is read all the same.
    let settings = Settings::new()
        .with_strict(false)
        .append_element_content_handler(element!("form", |form| {
            forms.borrow_mut().push(Form::default());
            let forms = std::rc::Rc::clone(&forms);
            // An outer element's end may close a form that is nested wrongly; browsers keep
            // such a form open until its own end tag.
            form.on_end_tag(end_tag!(move |end| {
                if end.name().eq_ignore_ascii_case("form")
                    && let Some(form) = forms.borrow_mut().last_mut()
                {
                    form.closed = true;
                }
                Ok(())
            }))
        }))
        .append_element_content_handler(element!("input", |input| {
            let mut forms = forms.borrow_mut();
            let Some(form) = forms.last_mut().filter(|form| !form.closed) else {
                return Ok(());
            };
            let Some(name) =
                input.get_attribute("name").map(|name| unescape_attribute(name).into_owned())
            else {
                return Ok(());
            };
            form.has_user |= name == user_field;
            let kind = input.get_attribute("type").unwrap_or_default();
            if kind.trim().eq_ignore_ascii_case("hidden") && !input.has_attribute("disabled") {
                let value = input.get_attribute("value").unwrap_or_default();
                form.hidden.push((name, unescape_attribute(value).into_owned()));
            }
            Ok(())
        }))
        .append_element_content_handler(element!("meta", |element| {
            let name =
                element.get_attribute("name").map(|name| unescape_attribute(name).into_owned());
            if name.is_some() && name.as_deref() == meta_name {
                let content = element.get_attribute("content").unwrap_or_default();
                *meta.borrow_mut() = Some(unescape_attribute(content).into_owned());
            }
            Ok(())
        }));
    let mut reader = HtmlRewriter::new(settings, |_: &[u8]| {});
    // An error leaves what was read before it: a login form that is missing then is told.
    if reader.write(html).is_ok() {
        let _ = reader.end();
    } else {
        drop(reader);
    }
    let hidden = forms.take().into_iter().find(|form| form.has_user).map(|form| form.hidden);
    LoginPage { hidden, meta: meta.take() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str = "data[Login][username]";

    fn hidden(html: &str) -> Option<Vec<(String, String)>> {
        read(html.as_bytes(), USER, None).hidden
    }

    fn pairs(pairs: &[(&str, &str)]) -> Option<Vec<(String, String)>> {
        Some(pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
    }

    /// Contract of profiles: all hidden inputs of the form with the user name, whatever their names.
    #[test]
    fn hidden_inputs_of_the_login_form() {
        let html = r#"<!-- <form><input type=hidden name=commented> -->
            <script>"<form><input type='hidden' name='scripted'>"</script>
            <form id=search><input type=hidden name=other value=1><input name=q></form>
            <input type=hidden name=outside value=2>
            <FORM method="post"><div style="display:none"><input type="hidden" name="_method" value="POST"/>
            <INPUT value='a&quot;b&amp;c&#x27;' NAME=f00d TYPE=HIDDEN></div>
            <input name="data&#91;Login&#93;[username]"><input type=password name="data[Login][password]">
            <input type=hidden name=off disabled value=x><input type=hidden name=empty></FORM>
            <form><input type=hidden name=after></form>"#;
        let expected = pairs(&[("_method", "POST"), ("f00d", "a\"b&c'"), ("empty", "")]);
        assert_eq!(hidden(html), expected);
    }

    /// Legacy pages nest badly; a browser still sends these inputs.
    #[test]
    fn badly_nested_forms() {
        let html = r#"<table><tr><form action=x><td><input name="data[Login][username]"></td></tr>
            <tr><td><input type=hidden name=t value=1></td></tr></form></table>"#;
        assert_eq!(hidden(html), pairs(&[("t", "1")]));
        let open =
            r#"<form><input name="data[Login][username]"><input type=hidden name=t value=1>"#;
        assert_eq!(hidden(open), pairs(&[("t", "1")]));
        assert_eq!(hidden("<p>maintenance"), None);
        assert_eq!(hidden("<form><input name=user></form>"), None);
    }

    #[test]
    fn a_token_in_a_meta_element() {
        let html = br#"<head><meta name="viewport" content="x"><meta name="csrf-token" content="a&amp;b">"#;
        assert_eq!(read(html, USER, Some("csrf-token")).meta.as_deref(), Some("a&b"));
        assert_eq!(read(html, USER, None).meta, None);
    }
}
