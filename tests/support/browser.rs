//! A real, headless Chromium, driven through ChromeDriver. Each test has a browser of its own with
//! an empty profile; nothing waits for a time, only for what the page shows.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use fantoccini::elements::Element;
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{Semaphore, SemaphorePermit};
use url::Url;

use super::Desktop;

/// Longer than anything takes on a busy machine; a test that hangs fails with its own name.
const PATIENCE: Duration = Duration::from_secs(30);

/// A browser is a heavy process: no more than this many at a time.
static BROWSERS: Semaphore = Semaphore::const_new(2);

/// A running browser.
pub struct Browser {
    client: Client,
    base: String,
    _driver: Driver,
    profile: TempDir,
    _slot: SemaphorePermit<'static>,
}

/// What a browser is like.
#[derive(Clone, Copy, Default)]
struct Kind<'a> {
    without_scripts: bool,
    language: Option<&'a str>,
    /// Not headless, with a password manager.
    on_screen: Option<&'a Desktop>,
}

/// The size of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Screen {
    /// 1280 × 800.
    Desktop,
    /// 390 × 844, with touch.
    Phone,
}

/// What the system is set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Light,
    Dark,
}

/// Both themes.
pub const THEMES: [Scheme; 2] = [Scheme::Light, Scheme::Dark];

impl Browser {
    /// One with an empty profile, whose relative addresses belong to `base`.
    pub async fn start(base: &str) -> Self {
        Self::with(base, Kind::default()).await
    }

    /// One that runs no scripts of pages.
    pub async fn without_scripts(base: &str) -> Self {
        Self::with(base, Kind { without_scripts: true, ..Kind::default() }).await
    }

    /// One whose user has chosen this language in its settings, and may have switched scripts off.
    pub async fn of_reader(base: &str, scripts: bool, language: &str) -> Self {
        let kind = Kind { language: Some(language), without_scripts: !scripts, on_screen: None };
        Self::with(base, kind).await
    }

    /// One on a screen, that asks whether to save passwords and fills them in.
    pub async fn on_screen(base: &str, desktop: &Desktop) -> Self {
        Self::with(base, Kind { on_screen: Some(desktop), ..Kind::default() }).await
    }

    async fn with(base: &str, kind: Kind<'_>) -> Self {
        let slot = BROWSERS.acquire().await.unwrap();
        let profile = TempDir::new().unwrap();
        let driver = Driver::start(kind).await;
        let mut builder =
            ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
        builder.capabilities(capabilities(&profile, kind));
        let client = builder.connect(&driver.url()).await.expect("a browser session");
        let browser = Self { client, base: base.to_owned(), _driver: driver, profile, _slot: slot };
        if kind.on_screen.is_none() {
            browser.look(Screen::Desktop, Scheme::Light).await;
        }
        browser
    }

    /// Where it keeps what it saves.
    pub fn profile(&self) -> &Path {
        self.profile.path()
    }

    /// Opens a path of the base address, or a complete address.
    pub async fn open(&self, place: &str) {
        let url = Url::parse(&self.base).unwrap().join(place).unwrap();
        self.client.goto(url.as_str()).await.unwrap();
    }

    /// Loads the page again.
    pub async fn reload(&self) {
        self.client.refresh().await.unwrap();
    }

    /// Path and query of the page that is open.
    pub async fn path(&self) -> String {
        let url = self.client.current_url().await.unwrap();
        url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()))
    }

    /// What the window's title says.
    pub async fn title(&self) -> String {
        self.client.title().await.unwrap()
    }

    /// The page's HTML as it stands.
    pub async fn source(&self) -> String {
        self.client.source().await.unwrap()
    }

    /// Waits until the page with this path is open and complete.
    pub async fn arrives(&self, path: &str) {
        let what = format!("the page {path}");
        self.until(&what, async || {
            self.path().await == path
                && self.script("return document.readyState").await == "complete"
        })
        .await;
    }

    /// As [`Self::arrives`], where no script may be asked.
    pub async fn arrives_without_scripts(&self, path: &str) {
        self.until(path, async || self.path().await == path && self.has("body").await).await;
    }

    /// Whether such an element is there and seen.
    pub async fn displayed(&self, css: &str) -> bool {
        match self.client.find(Locator::Css(css)).await {
            Ok(element) => element.is_displayed().await.unwrap_or(false),
            Err(_) => false,
        }
    }

    /// Whether the page has such an element.
    pub async fn has(&self, css: &str) -> bool {
        !self.client.find_all(Locator::Css(css)).await.unwrap().is_empty()
    }

    /// Waits for such an element to be seen.
    pub async fn shows(&self, css: &str) {
        self.until(css, async || self.displayed(css).await).await;
    }

    /// The words that are seen in an element.
    pub async fn text(&self, css: &str) -> String {
        self.element(css).await.text().await.unwrap()
    }

    /// What stands in a field now.
    pub async fn value(&self, css: &str) -> String {
        self.property(css, "value").await
    }

    /// A property of an element, as text.
    pub async fn property(&self, css: &str, name: &str) -> String {
        self.element(css).await.prop(name).await.unwrap().unwrap_or_default()
    }

    /// An attribute of an element; empty when it is missing.
    pub async fn attribute(&self, css: &str, name: &str) -> String {
        self.element(css).await.attr(name).await.unwrap().unwrap_or_default()
    }

    /// Clicks.
    pub async fn click(&self, css: &str) {
        let clicked = self.element(css).await.click().await;
        clicked.unwrap_or_else(|error| panic!("cannot click {css}: {error}"));
    }

    /// Clicks and waits until the page that it leads to is there.
    pub async fn follow(&self, css: &str) {
        let before = self.mark().await;
        self.click(css).await;
        self.until("another page", async || self.mark().await != before).await;
        self.complete().await;
    }

    /// Clicks what opens a new tab, and goes on there.
    pub async fn follow_to_new_tab(&self, css: &str) {
        let before = self.client.windows().await.unwrap();
        self.click(css).await;
        let tabs = async || self.client.windows().await.unwrap();
        self.until("a new tab", async || tabs().await.len() > before.len()).await;
        let new = tabs().await.into_iter().find(|tab| !before.contains(tab)).unwrap();
        self.client.switch_to_window(new).await.unwrap();
        // Each tab has a size and a theme of its own.
        self.look(Screen::Desktop, Scheme::Light).await;
        self.until("the new tab's page", async || self.path().await != "blank").await;
        self.complete().await;
    }

    /// Opens a path in a new tab, and goes on there.
    pub async fn open_in_new_tab(&self, place: &str) {
        let tab = self.client.new_window(true).await.unwrap();
        self.client.switch_to_window(tab.handle).await.unwrap();
        self.look(Screen::Desktop, Scheme::Light).await;
        self.open(place).await;
    }

    /// Goes to the other one of two tabs.
    pub async fn other_tab(&self) {
        let here = self.client.window().await.unwrap();
        let tabs = self.client.windows().await.unwrap();
        let other = tabs.into_iter().find(|tab| *tab != here).expect("another tab");
        self.client.switch_to_window(other).await.unwrap();
    }

    /// Opens a tab and goes on there; the one before stays behind.
    pub async fn open_tab(&self) {
        let tab = self.client.new_window(true).await.unwrap();
        self.client.switch_to_window(tab.handle).await.unwrap();
    }

    /// Goes on in the first tab.
    pub async fn return_to_first_tab(&self) {
        let first = self.client.windows().await.unwrap().swap_remove(0);
        self.client.switch_to_window(first).await.unwrap();
    }

    /// Goes on inside of a frame of the page.
    pub async fn enter_frame(&self, css: &str) {
        self.element(css).await.enter_frame().await.unwrap();
    }

    /// Fills in the portal's own login form and sends it.
    pub async fn log_in(&self, login: &str, secret: &str) {
        self.fill("#LoginUsername", login).await;
        self.fill("#LoginPassword", secret).await;
        self.follow("#LoginIndexForm input[type=submit]").await;
    }

    /// The status of the answer to a script of this page that asks for a path.
    pub async fn fetch(&self, path: &str) -> String {
        let ask = "return fetch(arguments[0], { redirect: 'manual', headers: \
                   { 'X-Requested-With': 'XMLHttpRequest' } }).then(answer => answer.status)";
        self.client.execute(ask, vec![json!(path)]).await.unwrap().to_string()
    }

    /// Types text into a field, key by key, behind what is there.
    pub async fn type_in(&self, css: &str, text: &str) {
        self.element(css).await.send_keys(text).await.unwrap();
    }

    /// Empties a field and types text into it.
    pub async fn fill(&self, css: &str, text: &str) {
        self.element(css).await.clear().await.unwrap();
        self.type_in(css, text).await;
    }

    /// The result of a script in the page, as text.
    pub async fn script(&self, script: &str) -> String {
        match self.client.execute(script, Vec::new()).await {
            Ok(Value::String(text)) => text,
            Ok(other) => other.to_string(),
            // The page was just going away.
            Err(error) => format!("({error})"),
        }
    }

    /// The result of a script in the page that gets these arguments, as JSON. A promise is waited
    /// for. The page's policy is asked by nobody.
    pub async fn call(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.client.execute(script, arguments).await.unwrap()
    }

    /// Waits until something holds.
    pub async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let began = Instant::now();
        while !holds().await {
            if began.elapsed() > PATIENCE {
                let page = self.client.source().await.unwrap_or_default();
                panic!("waited for {what} in vain at {}:\n{page}", self.path().await);
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// The errors that the browser's console shows since the last call.
    pub async fn errors(&self) -> Vec<String> {
        let entries = self.vendor("se/log", json!({ "type": "browser" })).await;
        let entries = entries.as_array().cloned().unwrap_or_default();
        let severe = entries.into_iter().filter(|entry| entry["level"] == "SEVERE");
        severe.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Sizes the window and sets what the system prefers.
    pub async fn look(&self, screen: Screen, scheme: Scheme) {
        let (width, height, mobile) = match screen {
            Screen::Desktop => (1280, 800, false),
            Screen::Phone => (390, 844, true),
        };
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile }),
        )
        .await;
        let scheme = match scheme {
            Scheme::Light => "light",
            Scheme::Dark => "dark",
        };
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// When pictures are wanted (`PASSGATE_SCREENSHOTS` names a folder): the page as it is, on a
    /// desktop and on a phone, as `NAME-desktop-light.png` and so on.
    pub async fn pictures(&self, name: &str, schemes: &[Scheme]) {
        let Ok(folder) = std::env::var("PASSGATE_SCREENSHOTS") else { return };
        std::fs::create_dir_all(&folder).unwrap();
        for screen in [Screen::Desktop, Screen::Phone] {
            for scheme in schemes {
                self.look(screen, *scheme).await;
                self.script("window.scrollTo(0, 0)").await;
                let picture = self.client.screenshot().await.unwrap();
                let file = format!("{name}-{screen:?}-{scheme:?}.png").to_lowercase();
                std::fs::write(PathBuf::from(&folder).join(file), picture).unwrap();
            }
        }
        self.look(Screen::Desktop, Scheme::Light).await;
    }

    /// When pictures are wanted: all of the page from top to bottom, in both themes, on the screen
    /// that is set. Afterwards the theme is the light one.
    pub async fn whole_pictures(&self, name: &str, screen: Screen) {
        let Ok(folder) = std::env::var("PASSGATE_SCREENSHOTS") else { return };
        std::fs::create_dir_all(&folder).unwrap();
        for scheme in [Scheme::Dark, Scheme::Light] {
            self.look(screen, scheme).await;
            let body = json!({ "cmd": "Page.captureScreenshot", "params": { "captureBeyondViewport": true } });
            let picture = self.vendor("goog/cdp/execute", body).await;
            let picture = BASE64_STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
            let file = format!("{name}-{screen:?}-{scheme:?}.png").to_lowercase();
            std::fs::write(PathBuf::from(&folder).join(file), picture).unwrap();
        }
    }

    /// How many pixels the page is wider than the window: nothing should be cut off on a phone.
    pub async fn overflow(&self) -> i64 {
        let wider =
            "const page = document.documentElement; return page.scrollWidth - page.clientWidth";
        self.script(wider).await.parse().unwrap()
    }

    async fn element(&self, css: &str) -> Element {
        match self.client.find(Locator::Css(css)).await {
            Ok(element) => element,
            Err(error) => {
                let page = self.client.source().await.unwrap_or_default();
                panic!("no {css} at {} ({error}):\n{page}", self.path().await)
            }
        }
    }

    /// Tells one loaded document from the next.
    async fn mark(&self) -> String {
        self.script("return String(performance.timeOrigin) + location.pathname").await
    }

    async fn complete(&self) {
        self.until("the whole page", async || {
            self.script("return document.readyState").await == "complete"
        })
        .await;
    }

    async fn devtools(&self, command: &str, parameters: Value) {
        let body = json!({ "cmd": command, "params": parameters });
        self.vendor("goog/cdp/execute", body).await;
    }

    async fn vendor(&self, path: &'static str, body: Value) -> Value {
        self.client.issue_cmd(Vendor { path, body }).await.unwrap()
    }
}

fn capabilities(profile: &TempDir, kind: Kind<'_>) -> Capabilities {
    let keeps_passwords = kind.on_screen.is_some();
    let mut preferences = json!({
        "credentials_enable_service": keeps_passwords,
        "profile.password_manager_leak_detection": false,
    });
    if kind.without_scripts {
        preferences["profile.managed_default_content_settings.javascript"] = json!(2);
    }
    if let Some(language) = kind.language {
        preferences["intl.accept_languages"] = json!(language);
    }
    let switches = match kind.on_screen {
        None => vec!["--headless=new".to_owned()],
        // On pages whose certificate is wrong it saves nothing.
        Some(desktop) => vec![
            "--password-store=basic".to_owned(),
            format!("--ignore-certificate-errors-spki-list={}", desktop.trusted_key),
        ],
    };
    let mut capabilities = json!({
        "acceptInsecureCerts": !keeps_passwords,
        "goog:loggingPrefs": { "browser": "ALL" },
        "goog:chromeOptions": {
            "binary": chromium(),
            "prefs": preferences,
            "args": [
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--disable-dev-shm-usage",
                "--hide-scrollbars",
                "--force-device-scale-factor=1",
                "--window-size=1280,800",
                format!("--user-data-dir={}", profile.path().display()),
            ],
        },
    });
    let options = &mut capabilities["goog:chromeOptions"];
    options["args"].as_array_mut().unwrap().extend(switches.into_iter().map(Value::from));
    if keeps_passwords {
        // What is automated asks nobody.
        options["excludeSwitches"] = json!(["enable-automation"]);
    }
    capabilities.as_object().cloned().unwrap_or_default()
}

/// Where Chromium is.
fn chromium() -> PathBuf {
    in_path(&["chromium", "chromium-browser", "google-chrome"])
}

pub(super) fn in_path(names: &[&str]) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let places = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    places
        .into_iter()
        .find(|place| place.is_file())
        .unwrap_or_else(|| panic!("the browser tests need {}; `make tools` installs it", names[0]))
}

/// A ChromeDriver process, on a port of its own choice.
struct Driver {
    port: u16,
    process: Child,
}

impl Driver {
    /// It chooses a free IPv4 port and wants the same of IPv6, which somebody else may have: then it
    /// ends, and is started anew.
    async fn start(kind: Kind<'_>) -> Self {
        for _ in 0..5 {
            if let Some(driver) = Self::try_start(kind).await {
                return driver;
            }
        }
        panic!("ChromeDriver did not start");
    }

    async fn try_start(kind: Kind<'_>) -> Option<Self> {
        let mut command = Command::new(in_path(&["chromedriver"]));
        if let Some(desktop) = kind.on_screen {
            command.env("DISPLAY", &desktop.display);
        }
        let mut process = command
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            let port = line.split_once("started successfully on port ");
            if let Some(port) = port.and_then(|(_, rest)| rest.trim_end_matches('.').parse().ok()) {
                // It goes on talking; somebody must listen.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                return Some(Self { port, process });
            }
        }
        None
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Driver {
    /// Also when a test fails: ends the browser, not only the driver, which is killed thereafter.
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(Some(_))) {
            return;
        }
        if let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)) {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
            let _ = stream.write_all(
                b"GET /shutdown HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            );
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }
}

/// A command of ChromeDriver beyond the standard.
#[derive(Debug)]
struct Vendor {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Vendor {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}
