//! A form of a portal's page, with everything that a browser would send back with it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use htmlize::{unescape, unescape_attribute};
use lol_html::html_content::Element;
use lol_html::{HtmlRewriter, Settings, element, end_tag, text};

/// A form as a browser would submit it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PageForm {
    /// Where it goes, as written; `None`: to the page itself.
    pub(super) action: Option<String>,
    /// Whether it is posted. Otherwise its values would stand in the URL.
    pub(super) is_posted: bool,
    /// Names and values, in the order of the page.
    pub(super) values: Vec<(String, String)>,
}

/// The first form of a complete page (UTF-8) that has inputs of all these names.
pub(super) fn find(html: &[u8], names: &[String]) -> Option<PageForm> {
    let page = read(html);
    let forms = page.forms.iter().enumerate().map(|(index, form)| {
        let id = form.id.as_deref();
        let enabled = page.controls.iter().filter(|control| !control.disabled);
        let owned = enabled.filter(move |control| match &control.form_id {
            Some(wanted) => id == Some(wanted),
            None => control.form == Some(index),
        });
        (form, owned.collect::<Vec<_>>())
    });
    let mut forms = forms.filter(|(_, controls)| {
        names.iter().all(|name| controls.iter().any(|control| control.name == *name))
    });
    let (form, controls) = forms.next()?;
    let mut submitted = false;
    let mut values = Vec::new();
    for control in controls {
        // Of several buttons one is pressed: the first, as with the Enter key.
        if matches!(control.kind, Kind::Button(_)) && std::mem::replace(&mut submitted, true) {
            continue;
        }
        values.extend(control.values().into_iter().map(|value| (control.name.clone(), value)));
    }
    values.retain(|(name, _)| !name.is_empty());
    Some(PageForm { action: form.action.clone(), is_posted: form.is_posted, values })
}

#[derive(Default)]
struct Page {
    forms: Vec<Form>,
    controls: Vec<Control>,
}

struct Form {
    id: Option<String>,
    action: Option<String>,
    is_posted: bool,
    closed: bool,
}

struct Control {
    name: String,
    disabled: bool,
    /// The `form` attribute: the id of a form that stands elsewhere.
    form_id: Option<String>,
    /// The form around it.
    form: Option<usize>,
    kind: Kind,
}

enum Kind {
    Value(String),
    /// Its text, as written.
    TextArea(String),
    Select {
        multiple: bool,
        options: Vec<SelectOption>,
    },
    /// One that submits the form, and is sent only if it is the one that is pressed.
    Button(String),
}

struct SelectOption {
    value: Option<String>,
    text: String,
    selected: bool,
    disabled: bool,
}

impl Control {
    fn values(&self) -> Vec<String> {
        match &self.kind {
            Kind::Value(value) | Kind::Button(value) => vec![value.clone()],
            Kind::TextArea(text) => {
                let text = unescape(text.as_str());
                let text = text.strip_prefix("\r\n").or(text.strip_prefix('\n')).unwrap_or(&text);
                let lines = text.replace("\r\n", "\n").replace('\r', "\n");
                vec![lines.replace('\n', "\r\n")]
            }
            Kind::Select { multiple, options } => {
                let usable = || options.iter().filter(|option| !option.disabled);
                let selected = || usable().filter(|option| option.selected);
                if *multiple {
                    return selected().map(SelectOption::value).collect();
                }
                let one = selected().next_back().or_else(|| usable().next());
                one.map(SelectOption::value).into_iter().collect()
            }
        }
    }
}

impl SelectOption {
    fn value(&self) -> String {
        self.value.clone().unwrap_or_else(|| {
            unescape(self.text.as_str()).split_ascii_whitespace().collect::<Vec<_>>().join(" ")
        })
    }
}

fn read(html: &[u8]) -> Page {
    // End-tag handlers must own what they touch.
    let page = Rc::new(RefCell::new(Page::default()));
    let in_disabled_group = Cell::new(false);
    let add = |element: &Element<'_, '_>, kind: Kind| {
        let disabled = in_disabled_group.take() || element.has_attribute("disabled");
        let mut page = page.borrow_mut();
        let form = page.forms.len().checked_sub(1).filter(|last| !page.forms[*last].closed);
        let name = attribute(element, "name").unwrap_or_default();
        let form_id = attribute(element, "form");
        page.controls.push(Control { name, disabled, form_id, form, kind });
    };
    let settings = Settings::new()
        // Not strict: a page that is ambiguous to a parser is read all the same.
        .with_strict(false)
        .append_element_content_handler(element!("form", |form| {
            page.borrow_mut().forms.push(Form {
                id: attribute(form, "id"),
                action: attribute(form, "action").filter(|action| !action.trim().is_empty()),
                is_posted: kind_of(form, "method") == "post",
                closed: false,
            });
            let page = Rc::clone(&page);
            // An outer element's end may close a form that is nested wrongly; browsers keep
            // such a form open until its own end tag.
            form.on_end_tag(end_tag!(move |end| {
                if end.name().eq_ignore_ascii_case("form")
                    && let Some(form) = page.borrow_mut().forms.last_mut()
                {
                    form.closed = true;
                }
                Ok(())
            }))
        }))
        .append_element_content_handler(element!(
            "fieldset[disabled] input, fieldset[disabled] select, fieldset[disabled] textarea, \
             fieldset[disabled] button",
            |_element| {
                in_disabled_group.set(true);
                Ok(())
            }
        ))
        .append_element_content_handler(element!("input", |input| {
            let value = || attribute(input, "value").unwrap_or_default();
            let kind = match kind_of(input, "type").as_str() {
                "checkbox" | "radio" if input.has_attribute("checked") => {
                    Kind::Value(attribute(input, "value").unwrap_or_else(|| "on".to_owned()))
                }
                "submit" => Kind::Button(value()),
                "checkbox" | "radio" | "button" | "reset" | "image" | "file" => {
                    in_disabled_group.set(false);
                    return Ok(());
                }
                _ => Kind::Value(value()),
            };
            add(input, kind);
            Ok(())
        }))
        .append_element_content_handler(element!("button", |button| {
            match kind_of(button, "type").as_str() {
                "button" | "reset" => in_disabled_group.set(false),
                _ => add(button, Kind::Button(attribute(button, "value").unwrap_or_default())),
            }
            Ok(())
        }))
        .append_element_content_handler(element!("textarea", |area| {
            add(area, Kind::TextArea(String::new()));
            Ok(())
        }))
        .append_element_content_handler(text!("textarea", |piece| {
            if let Some(Kind::TextArea(text)) =
                page.borrow_mut().controls.last_mut().map(|control| &mut control.kind)
            {
                text.push_str(piece.as_str());
            }
            Ok(())
        }))
        .append_element_content_handler(element!("select", |select| {
            let multiple = select.has_attribute("multiple");
            add(select, Kind::Select { multiple, options: Vec::new() });
            Ok(())
        }))
        .append_element_content_handler(element!("select option", |option| {
            if let Some(Kind::Select { options, .. }) =
                page.borrow_mut().controls.last_mut().map(|control| &mut control.kind)
            {
                options.push(SelectOption {
                    value: attribute(option, "value"),
                    text: String::new(),
                    selected: option.has_attribute("selected"),
                    disabled: option.has_attribute("disabled"),
                });
            }
            Ok(())
        }))
        .append_element_content_handler(text!("select option", |piece| {
            if let Some(Kind::Select { options, .. }) =
                page.borrow_mut().controls.last_mut().map(|control| &mut control.kind)
                && let Some(option) = options.last_mut()
            {
                option.text.push_str(piece.as_str());
            }
            Ok(())
        }));
    let mut reader = HtmlRewriter::new(settings, |_: &[u8]| {});
    // An error leaves what was read before it: a form that is missing then is told.
    if reader.write(html).is_ok() {
        let _ = reader.end();
    } else {
        drop(reader);
    }
    page.take()
}

fn attribute(element: &Element<'_, '_>, name: &str) -> Option<String> {
    element.get_attribute(name).map(|value| unescape_attribute(value).into_owned())
}

fn kind_of(element: &Element<'_, '_>, name: &str) -> String {
    element.get_attribute(name).unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(html: &str, name: &str) -> Option<Vec<(String, String)>> {
        find(html.as_bytes(), &[name.to_owned()]).map(|form| form.values)
    }

    fn pairs(pairs: &[(&str, &str)]) -> Option<Vec<(String, String)>> {
        Some(pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
    }

    /// R-B4: whatever else stands in the form goes back as it was, and nothing is added.
    #[test]
    fn a_form_is_sent_back_as_a_browser_would() {
        let html = r#"<!-- <form><input name=pin value=commented></form> -->
            <form action="/search"><input name=q></form>
            <form id=profile METHOD=Post action="/save?a=1&amp;b=2">
            <input type=hidden name="data[_Token]" value="t&quot;1">
            <input name=name value="Zo&euml; &amp; O&#39;Neil &lt;x&gt;"><input type=EMAIL name=email value=z@x.example>
            <input name=off disabled value=1><input value=nameless>
            <input type=checkbox name=news checked><input type=checkbox name=spam value=1>
            <input type=radio name=tone value=a><input type=radio name=tone value=b checked>
            <select name=zone><option value=UTC>UTC<option selected>New &amp;
            York</option></select>
            <select name=first><option disabled>none<option value=1>one</select>
            <select name=many multiple><option selected>x<option>y<option selected>z</select>
            <textarea name=about>
two &amp;
lines</textarea>
            <fieldset disabled><input name=grouped value=1><button name=go value=0></button></fieldset>
            <input type=password name=pin><input type=file name=photo><input type=image name=map>
            <button type=button name=preview value=1></button>
            <input type=submit name=save value=Save><button name=delete value=1>Delete</button>
            </form><input name=after value=1><input form=profile name=late value=2>"#;
        let expected = [
            ("data[_Token]", "t\"1"),
            ("name", "Zo\u{eb} & O'Neil <x>"),
            ("email", "z@x.example"),
            ("news", "on"),
            ("tone", "b"),
            ("zone", "New & York"),
            ("first", "1"),
            ("many", "x"),
            ("many", "z"),
            ("about", "two &\r\nlines"),
            ("pin", ""),
            ("save", "Save"),
            ("late", "2"),
        ];
        assert_eq!(values(html, "pin"), pairs(&expected));
        let form = find(html.as_bytes(), &["pin".to_owned()]).unwrap();
        assert_eq!((form.action.as_deref(), form.is_posted), (Some("/save?a=1&b=2"), true));
        let search = find(html.as_bytes(), &["q".to_owned()]).unwrap();
        assert_eq!((search.action.as_deref(), search.is_posted), (Some("/search"), false));
    }

    /// Legacy pages nest badly; a browser still sends these inputs.
    #[test]
    fn badly_nested_and_missing_forms() {
        let nested = r#"<table><tr><form method=post action=""><td><input name=pin></td></tr>
            <tr><td><input name=t value=1></td></tr></form></table>"#;
        assert_eq!(values(nested, "pin"), pairs(&[("pin", ""), ("t", "1")]));
        assert_eq!(find(nested.as_bytes(), &["pin".to_owned()]).unwrap().action, None);
        let both = ["pin".to_owned(), "again".to_owned()];
        let two =
            "<form><input name=pin></form><form id=b><input name=pin><input name=again></form>";
        assert_eq!(find(two.as_bytes(), &both).unwrap().values.len(), 2);
        for without in
            ["<p>maintenance", "<input name=pin>", "<form><input name=pin disabled></form>"]
        {
            assert_eq!(values(without, "pin"), None, "{without}");
        }
    }
}
