//! One value as it was written, and the kinds of value that the sections ask for.
//!
//! Environment variables are text only, so every kind can be read from text as well as from TOML.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::IpNet;
use jiff::{Timestamp, civil};
use toml::de::DeValue;
use url::Url;

use super::source::closest;

/// A value of the file or of an environment variable.
#[derive(Clone, Copy)]
pub(super) enum Value<'v> {
    Toml(&'v DeValue<'v>),
    Text(&'v str),
}

/// Why a value cannot be what it should be.
#[derive(Debug)]
pub(super) struct Wrong {
    pub message: String,
    pub hint: Option<String>,
}

pub(super) fn wrong<T>(message: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { message: message.into(), hint: None })
}

pub(super) fn wrong_but<T>(
    message: impl Into<String>,
    hint: impl Into<String>,
) -> Result<T, Wrong> {
    Err(Wrong { message: message.into(), hint: Some(hint.into()) })
}

/// So many in so long: "20/10m". Bursts of twice as many are let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In how long.
    pub period: Duration,
}

/// A moment as an operator writes it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Moment {
    /// With an offset from UTC: the same everywhere.
    Fixed(Timestamp),
    /// A local date (its first instant) or date and time, in a time zone still to be said.
    Local(civil::DateTime),
}

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const DAY: Duration = Duration::from_secs(86_400);
pub(super) const YEAR: Duration = Duration::from_secs(366 * 86_400);

impl<'v> Value<'v> {
    pub fn text(self) -> Result<&'v str, Wrong> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Toml(DeValue::String(text)) => Ok(text),
            Self::Toml(other) => self.expected("text in quotes", other),
        }
    }

    pub fn owned_text(self) -> Result<String, Wrong> {
        self.text().map(str::to_owned)
    }

    /// Text that is something other than white space.
    pub fn filled_text(self) -> Result<String, Wrong> {
        match self.text()?.trim() {
            "" => wrong("must not be empty"),
            text => Ok(text.to_owned()),
        }
    }

    /// Text; empty stands for "none".
    pub fn optional_text(self) -> Result<Option<String>, Wrong> {
        Ok(Some(self.text()?.trim()).filter(|text| !text.is_empty()).map(str::to_owned))
    }

    pub fn boolean(self) -> Result<bool, Wrong> {
        match self {
            Self::Toml(DeValue::Boolean(value)) => Ok(*value),
            Self::Text("true") => Ok(true),
            Self::Text("false") => Ok(false),
            Self::Text(_) => wrong("must be true or false"),
            Self::Toml(other) => self.expected("true or false (without quotes)", other),
        }
    }

    pub fn integer<T: TryFrom<i64>>(self, range: RangeInclusive<i64>) -> Result<T, Wrong> {
        let number = match self {
            Self::Toml(DeValue::Integer(integer)) => {
                i64::from_str_radix(integer.as_str(), integer.radix()).ok()
            }
            Self::Text(text) => text.trim().parse().ok(),
            Self::Toml(other) => return self.expected("a whole number (without quotes)", other),
        };
        number
            .filter(|number| range.contains(number))
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| Wrong {
                message: format!(
                    "must be a whole number from {} to {}",
                    range.start(),
                    range.end()
                ),
                hint: None,
            })
    }

    pub fn choice<T: Copy>(self, choices: &[(&str, T)]) -> Result<T, Wrong> {
        let text = self.text()?;
        if let Some((_, choice)) = choices.iter().find(|(name, _)| *name == text) {
            return Ok(*choice);
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let all = names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        let message = format!("\"{text}\" is not one of {all}");
        match closest(text, names) {
            Some(name) => wrong_but(message, format!("did you mean \"{name}\"?")),
            None => wrong(message),
        }
    }

    pub fn duration(self, range: RangeInclusive<Duration>) -> Result<Duration, Wrong> {
        const HINT: &str = "write a number and a unit: \"500ms\", \"30s\", \"15m\", \"4h\", \"7d\"";
        let text = match self {
            Self::Toml(DeValue::Integer(_)) => {
                return wrong_but("is a number without a unit", HINT);
            }
            _ => self.text()?,
        };
        let Some(duration) = parse_duration(text) else {
            return wrong_but(format!("\"{text}\" is not a duration"), HINT);
        };
        if !range.contains(&duration) {
            let (least, most) = (spell(*range.start()), spell(*range.end()));
            return wrong(format!("must be from \"{least}\" to \"{most}\", not \"{text}\""));
        }
        Ok(duration)
    }

    /// A duration, or "off".
    pub fn duration_or_off(
        self,
        range: RangeInclusive<Duration>,
    ) -> Result<Option<Duration>, Wrong> {
        match self {
            Self::Text("off") => Ok(None),
            Self::Toml(DeValue::String(text)) if text == "off" => Ok(None),
            _ => self.duration(range).map(Some),
        }
    }

    pub fn rate(self) -> Result<Rate, Wrong> {
        let text = self.text()?;
        parse_rate(text).ok_or_else(|| Wrong {
            message: format!("\"{text}\" is not a rate"),
            hint: Some("write how many in how long: \"10/s\", \"20/10m\", \"3/1h\"".to_owned()),
        })
    }

    /// A rate, or "off".
    pub fn rate_or_off(self) -> Result<Option<Rate>, Wrong> {
        if self.text()? == "off" { Ok(None) } else { self.rate().map(Some) }
    }

    pub fn moment(self) -> Result<Moment, Wrong> {
        const HINT: &str = "write 2018-11-05, 2018-11-05T09:00:00 or 2018-11-05T09:00:00-05:00";
        let text = match self {
            Self::Toml(DeValue::Datetime(datetime)) => datetime.to_string(),
            Self::Toml(DeValue::String(text)) => text.to_string(),
            Self::Text(text) => text.to_owned(),
            Self::Toml(other) => return self.expected("a date or a date and time", other),
        };
        parse_moment(&text).ok_or_else(|| Wrong {
            message: format!("\"{text}\" is not a date or a date and time"),
            hint: Some(HINT.to_owned()),
        })
    }

    pub fn socket_address(self) -> Result<SocketAddr, Wrong> {
        let text = self.text()?;
        text.parse().or_else(|_| {
            let message = format!("\"{text}\" is not an IP address with a port");
            match text.strip_prefix(':').unwrap_or(text).parse::<u16>() {
                Ok(port) => wrong_but(message, format!("did you mean \"0.0.0.0:{port}\"?")),
                Err(_) => wrong_but(message, "write \"0.0.0.0:8443\" or \"[::]:8443\""),
            }
        })
    }

    /// A network in CIDR form; a single address is a network of one.
    pub fn network(self) -> Result<IpNet, Wrong> {
        let text = self.text()?.trim();
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(IpNet::from(address));
        }
        let Ok(network) = text.parse::<IpNet>() else {
            let hint = "write \"10.0.0.0/8\", \"2001:db8::/32\" or one address";
            return wrong_but(format!("\"{text}\" is not a network"), hint);
        };
        if network != network.trunc() {
            let message = format!("\"{text}\" is an address within a network, not a network");
            return wrong_but(message, format!("did you mean \"{}\"?", network.trunc()));
        }
        Ok(network)
    }

    /// The beginning of our own links: https (http on this machine only), without a path.
    pub fn public_url(self) -> Result<Url, Wrong> {
        let text = self.text()?;
        let url = parse_url(text)?;
        let host = url.host_str().unwrap_or_default();
        let local = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
        match url.scheme() {
            "https" => {}
            "http" if local => {}
            "http" => {
                let hint = format!("did you mean \"https{}\"?", &text[4..]);
                return wrong_but("must begin with https:// (http only for localhost)", hint);
            }
            _ => return wrong("must begin with https://"),
        }
        if host.is_empty() {
            return wrong(format!("\"{text}\" has no host name"));
        }
        bare_origin(&url, text)?;
        Ok(url)
    }

    /// A host name, with a port where one belongs to it; lower-case.
    pub fn host_name(self) -> Result<String, Wrong> {
        let text = self.text()?.trim();
        let parsed = Url::parse(&format!("https://{text}/"));
        let plain = parsed.is_ok_and(|url| {
            url.path() == "/"
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none()
        });
        let visible = !text.is_empty()
            && text.chars().all(|c| !c.is_whitespace() && !c.is_control() && !"/?#@*".contains(c));
        if plain && visible {
            Ok(text.to_ascii_lowercase())
        } else {
            wrong_but(
                format!("\"{text}\" is not a host name"),
                "write only the name, for example \"pbx.example.com\"",
            )
        }
    }

    fn expected<T>(self, what: &str, found: &DeValue<'_>) -> Result<T, Wrong> {
        wrong(format!("must be {what}, not {}", kind(found)))
    }
}

/// A URL, with a hint where only the scheme is missing.
pub(super) fn parse_url(text: &str) -> Result<Url, Wrong> {
    match Url::parse(text) {
        Ok(url) if !url.cannot_be_a_base() => Ok(url),
        _ if text.is_empty() => wrong("must not be empty"),
        _ if !text.contains("://") => wrong_but(
            format!("\"{text}\" is not a URL"),
            format!("did you mean \"https://{text}\"?"),
        ),
        _ => wrong(format!("\"{text}\" is not a URL")),
    }
}

/// Refuses a URL that says more than scheme, host and port. The text is not repeated where it may
/// hold a password.
pub(super) fn bare_origin(url: &Url, text: &str) -> Result<(), Wrong> {
    if !url.username().is_empty() || url.password().is_some() {
        return wrong("must not contain a user name or a password");
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        let origin = url.origin().ascii_serialization();
        return wrong_but(
            format!("\"{text}\" must end after the host and port"),
            format!("did you mean \"{origin}\"?"),
        );
    }
    Ok(())
}

/// What a TOML value is, in an operator's words.
pub(super) fn kind(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(_) => "text".to_owned(),
        DeValue::Integer(integer) => format!("the number {integer}"),
        DeValue::Float(float) => format!("the number {float}"),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(datetime) => format!("the date {datetime}"),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a section".to_owned(),
    }
}

/// "15m", "1h30m": whole numbers, each with a unit.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u32 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ms" => Duration::from_millis(1),
            "s" => SECOND,
            "m" => MINUTE,
            "h" => HOUR,
            "d" => DAY,
            _ => return None,
        };
        total = total.checked_add(unit.checked_mul(number)?)?;
        rest = &rest[end..];
    }
    Some(total)
}

fn parse_rate(text: &str) -> Option<Rate> {
    let (count, period) = text.split_once('/')?;
    let count: u32 = count.trim().parse().ok().filter(|count| *count > 0)?;
    let period = period.trim();
    let period = match period.starts_with(|c: char| c.is_ascii_digit()) {
        true => parse_duration(period)?,
        false => parse_duration(&format!("1{period}"))?,
    };
    (!period.is_zero()).then_some(Rate { count, period })
}

fn parse_moment(text: &str) -> Option<Moment> {
    let text = text.trim();
    if let Ok(fixed) = text.parse::<Timestamp>() {
        return Some(Moment::Fixed(fixed));
    }
    // A bare time is no moment; jiff would not read it as a date either.
    if let Ok(local) = text.parse::<civil::DateTime>() {
        return Some(Moment::Local(local));
    }
    text.parse::<civil::Date>().ok().map(|date| Moment::Local(date.at(0, 0, 0, 0)))
}

/// The shortest spelling that [`parse_duration`] reads back.
fn spell(duration: Duration) -> String {
    let units = [(DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s")];
    let millis = duration.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    units
        .iter()
        .find(|(unit, _)| millis.is_multiple_of(unit.as_millis()))
        .map(|(unit, name)| format!("{}{name}", millis / unit.as_millis()))
        .unwrap_or_else(|| format!("{millis}ms"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(result: Result<impl Sized, Wrong>) -> Option<String> {
        result.err().expect("is wrong").hint
    }

    #[test]
    fn durations() {
        for (text, expected) in [
            ("500ms", Some(Duration::from_millis(500))),
            ("15m", Some(Duration::from_secs(900))),
            ("1h30m", Some(Duration::from_secs(5400))),
            ("0s", Some(Duration::ZERO)),
            ("7d", Some(Duration::from_secs(604_800))),
            ("", None),
            ("15", None),
            ("m", None),
            ("-1s", None),
            ("1.5h", None),
            ("4 h", None),
            ("1w", None),
            ("4294967295d4294967295d", Some(DAY * u32::MAX + DAY * u32::MAX)),
            ("99999999999s", None),
        ] {
            assert_eq!(parse_duration(text), expected, "{text}");
        }
        assert_eq!(spell(Duration::from_secs(5400)), "90m");
        assert_eq!(spell(Duration::from_millis(1500)), "1500ms");
    }

    #[test]
    fn rates() {
        let rate = |count, period| Some(Rate { count, period });
        assert_eq!(parse_rate("20/10m"), rate(20, MINUTE * 10));
        assert_eq!(parse_rate("10/s"), rate(10, SECOND));
        for bad in ["", "10", "10/", "0/s", "x/s", "10/0s", "-1/s", "10/s/s"] {
            assert_eq!(parse_rate(bad), None, "{bad}");
        }
    }

    #[test]
    fn moments() {
        let local = |text: &str| Some(Moment::Local(text.parse().unwrap()));
        assert_eq!(parse_moment("2018-11-05"), local("2018-11-05T00:00:00"));
        assert_eq!(parse_moment("2018-11-05T09:30:00"), local("2018-11-05T09:30:00"));
        let fixed = Moment::Fixed("2018-11-05T14:00:00Z".parse().unwrap());
        assert_eq!(parse_moment("2018-11-05T09:00:00-05:00"), Some(fixed));
        for bad in ["", "2018-02-30", "09:30:00", "soon"] {
            assert_eq!(parse_moment(bad), None, "{bad}");
        }
    }

    #[test]
    fn mistakes_get_a_suggestion() {
        let text = |text| Value::Text(text);
        let yes = |hint: &str| Some(format!("did you mean {hint}?"));
        assert_eq!(hint(text("8443").socket_address()), yes("\"0.0.0.0:8443\""));
        assert_eq!(hint(text("10.1.2.3/8").network()), yes("\"10.0.0.0/8\""));
        let choices = [("json", 1), ("text", 2)];
        assert_eq!(hint(text("jsn").choice(&choices)), yes("\"json\""));
        assert_eq!(hint(text("http://a.example").public_url()), yes("\"https://a.example\""));
        assert_eq!(hint(text("a.example").public_url()), yes("\"https://a.example\""));
        assert_eq!(hint(text("https://a.example/x").public_url()), yes("\"https://a.example\""));
    }

    #[test]
    fn public_urls() {
        for good in ["https://a.example", "https://a.example:8443/", "http://localhost:8080"] {
            assert!(Value::Text(good).public_url().is_ok(), "{good}");
        }
        for bad in ["", "ftp://a.example", "https://u:p@a.example", "mailto:a@b", "https://a?b"] {
            assert!(Value::Text(bad).public_url().is_err(), "{bad}");
        }
    }

    #[test]
    fn host_names() {
        assert_eq!(Value::Text("PBX.example:8080").host_name().unwrap(), "pbx.example:8080");
        for bad in ["", "a b", "http://a", "a/b", "u@a", "*.example", "a?b"] {
            assert!(Value::Text(bad).host_name().is_err(), "{bad}");
        }
    }
}
