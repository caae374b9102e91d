//! How pages are made: templates (minijinja, HTML-escaped), texts and addresses.

use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, Error, UndefinedBehavior};

use super::brand::Brand;
use super::overrides::Overrides;
use super::texts::Texts;
use super::{PagesSettings, assets};
use crate::domain::language::Language;

const TEMPLATES: [(&str, &str); 15] = [
    ("base.html", include_str!("../../templates/pages/base.html")),
    ("fields.html", include_str!("../../templates/pages/fields.html")),
    ("login.html", include_str!("../../templates/pages/login.html")),
    ("security.html", include_str!("../../templates/pages/security.html")),
    ("set_password.html", include_str!("../../templates/pages/set_password.html")),
    ("ask.html", include_str!("../../templates/pages/ask.html")),
    ("link.html", include_str!("../../templates/pages/link.html")),
    ("confirm_email.html", include_str!("../../templates/pages/confirm_email.html")),
    ("next_step.html", include_str!("../../templates/pages/next_step.html")),
    ("current_pin.html", include_str!("../../templates/pages/current_pin.html")),
    ("kept_form.html", include_str!("../../templates/pages/kept_form.html")),
    ("sign_out.html", include_str!("../../templates/pages/sign_out.html")),
    ("help.html", include_str!("../../templates/pages/help.html")),
    ("error.html", include_str!("../../templates/pages/error.html")),
    ("icons.html", include_str!("../../templates/pages/icons.html")),
];

/// The names of the templates of pages.
pub(super) fn template_names() -> Vec<&'static str> {
    TEMPLATES.iter().map(|(name, _)| *name).collect()
}

/// What all pages in one language are made with, whatever the brand.
pub(super) struct Words {
    language: Language,
    texts: Arc<Texts>,
    /// With the operator's own templates.
    drawn: Environment<'static>,
    /// As they ship, where there are others.
    shipped: Option<Environment<'static>>,
}

impl Words {
    pub fn new(language: Language, overrides: &Overrides) -> Self {
        let texts = Arc::new(Texts::new(&language, overrides));
        let shipped = templates(&TEMPLATES, &[], &texts);
        let (drawn, shipped) = match overrides.pages() {
            [] => (shipped, None),
            own => (templates(&TEMPLATES, own, &texts), Some(shipped)),
        };
        Self { language, texts, drawn, shipped }
    }
}

/// Templates, texts and addresses for readers of one brand and one language.
#[derive(Clone)]
pub(super) struct Look {
    drawn: Arc<Environment<'static>>,
    shipped: Option<Arc<Environment<'static>>>,
    texts: Arc<Texts>,
    language: Language,
    brand: Arc<Brand>,
    settings: Arc<PagesSettings>,
    assets: Arc<str>,
}

impl Look {
    pub fn new(settings: &Arc<PagesSettings>, brand: &Arc<Brand>, words: &Words) -> Self {
        let hash = assets::fingerprint(brand);
        let assets: Arc<str> = format!("{}/static/{hash}", settings.prefix).into();
        // Templates are shared, whatever the number of brands.
        let dressed = |environment: &Environment<'static>| {
            let mut environment = environment.clone();
            add_globals(&mut environment, settings, brand, words, &assets);
            Arc::new(environment)
        };
        Self {
            drawn: dressed(&words.drawn),
            shipped: words.shipped.as_ref().map(dressed),
            texts: Arc::clone(&words.texts),
            language: words.language.clone(),
            brand: Arc::clone(brand),
            settings: Arc::clone(settings),
            assets,
        }
    }

    /// Fills in a template. One that cannot be rendered is a defect: logged, and answered as an
    /// internal error by the caller. Where it is the operator's own, the one that ships is shown.
    pub fn render(&self, template: &str, context: Value) -> Option<String> {
        let environments = std::iter::once(&self.drawn).chain(&self.shipped);
        for environment in environments {
            let rendered =
                environment.get_template(template).and_then(|template| template.render(&context));
            match rendered {
                Ok(html) => return Some(html),
                Err(error) => {
                    tracing::error!(template, error = format!("{error:#}"), "page not rendered");
                }
            }
        }
        None
    }

    pub fn texts(&self) -> &Texts {
        &self.texts
    }

    /// The language of the texts.
    pub fn language(&self) -> &Language {
        &self.language
    }

    /// Whom readers should ask, as part of a sentence.
    pub fn support(&self) -> &str {
        support(&self.brand, &self.texts)
    }

    pub fn settings(&self) -> &PagesSettings {
        &self.settings
    }

    /// The path of one of our pages.
    pub fn page(&self, name: &str) -> String {
        format!("{}/{name}", self.settings.prefix)
    }

    /// The path under which the present style sheets and scripts lie.
    pub fn assets(&self) -> &str {
        &self.assets
    }
}

/// Escapes text for HTML, in elements and in quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// HTML in ASCII: the portal's page that it goes into may have any encoding.
pub(super) fn ascii(html: &str) -> String {
    let mut plain = String::with_capacity(html.len() + 16);
    for c in html.chars() {
        match c.is_ascii() {
            true => plain.push(c),
            false => plain.push_str(&format!("&#{};", u32::from(c))),
        }
    }
    plain
}

/// The templates of pages or e-mails, with `t` for the words of one language. An operator's `own`
/// go before those that ship.
pub(super) fn templates(
    sources: &'static [(&'static str, &'static str)],
    own: &[(String, String)],
    texts: &Arc<Texts>,
) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_syntax(
        SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().unwrap_or_default(),
    );
    for (name, source) in sources {
        if let Err(error) = environment.add_template(name, source) {
            // Templates are part of the binary, and a test renders each.
            tracing::error!(name, error = format!("{error:#}"), "template not usable");
        }
    }
    for (name, source) in own {
        if let Err(error) = environment.add_template_owned(name.clone(), source.clone()) {
            // It could be read when the configuration was checked.
            tracing::error!(name, error = format!("{error:#}"), "own template not usable");
        }
    }
    let of_keys = Arc::clone(texts);
    environment.add_function("t", move |key: &str, values: Kwargs| text(&of_keys, key, &values));
    environment
}

/// Whom the readers of a brand should ask: its own words, or those of the language.
pub(super) fn support<'a>(brand: &'a Brand, texts: &'a Texts) -> &'a str {
    brand.support.as_deref().unwrap_or_else(|| texts.get("common.support"))
}

fn add_globals(
    environment: &mut Environment<'static>,
    settings: &PagesSettings,
    brand: &Brand,
    words: &Words,
    assets: &str,
) {
    // Paths come from the checked configuration; escaped here, they need no escaping again.
    let path = |path: &str| Value::from_safe_string(escape(path));
    environment.add_global("prefix", path(&settings.prefix));
    environment.add_global("assets", path(assets));
    environment.add_global("home", path(&settings.home));
    environment.add_global("product", brand.name.clone());
    environment.add_global("support", support(brand, &words.texts).to_owned());
    environment.add_global("affected", settings.affected.clone());
    environment.add_global("sends_mail", settings.sends_mail);
    environment.add_global("warns", settings.session_warning.is_some());
    environment.add_global("language", words.language.tag());
    environment.add_global("tinted", brand.accent.is_some());
    let logo = brand.logo.as_ref().map(|logo| path(&format!("{assets}/logo.{}", logo.ending)));
    environment.add_global("logo", logo);
}

/// `t("key", name=value, …)` in templates; with `count=n`, in the form that belongs to n.
fn text(texts: &Texts, key: &str, values: &Kwargs) -> Result<String, Error> {
    let mut filled = Vec::new();
    for name in values.args() {
        filled.push((name, values.get::<Value>(name)?.to_string()));
    }
    let count = filled.iter().find(|(name, _)| *name == "count").map(|(_, count)| count.as_str());
    let form = match count {
        Some("1") => format!("{key}.one"),
        Some(_) => format!("{key}.other"),
        None => key.to_owned(),
    };
    let key = if texts.get(&form) == form { key } else { form.as_str() };
    let filled: Vec<_> = filled.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Ok(texts.fill(key, &filled))
}
