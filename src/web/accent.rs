//! A brand's colour, made readable: an operator chooses one colour, and buttons and links in both
//! themes must keep the contrast that WCAG 2.2 asks for (4.5:1, success criterion 1.4.3).

use std::fmt;

/// A colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Colour {
    red: u8,
    green: u8,
    blue: u8,
}

const WHITE: Colour = Colour { red: 255, green: 255, blue: 255 };
const BLACK: Colour = Colour { red: 0, green: 0, blue: 0 };
/// The lightest and the darkest ground on which links stand (`--tint`, `--card` in `account.css`).
const LIGHT_GROUND: Colour = Colour { red: 0xea, green: 0xf1, blue: 0xfd };
const DARK_GROUND: Colour = Colour { red: 0x1b, green: 0x2a, blue: 0x45 };
const DARK_INK: Colour = Colour { red: 0x0b, green: 0x10, blue: 0x18 };
/// The contrast of text.
const ENOUGH: f64 = 4.5;

/// The shades of one colour in one theme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shades {
    /// Buttons, links, focus rings: `#rrggbb`.
    pub accent: String,
    /// The same below the pointer.
    pub deep: String,
    /// Text on a button.
    pub on: String,
}

/// A brand's colour in both themes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accent {
    /// On light ground.
    pub light: Shades,
    /// On dark ground.
    pub dark: Shades,
}

impl Accent {
    /// The shades of `#rgb` or `#rrggbb`: the colour itself where it can be read, else the nearest
    /// darker (lighter, in the dark theme) one. `None` if it is no colour.
    pub fn new(colour: &str) -> Option<Self> {
        let colour = Colour::parse(colour)?;
        let light = colour.readable_on(LIGHT_GROUND, BLACK);
        let dark = colour.readable_on(DARK_GROUND, WHITE);
        Some(Self {
            light: shades(light, light.mixed(BLACK, 0.2)),
            dark: shades(dark, dark.mixed(WHITE, 0.3)),
        })
    }

    /// The custom properties of `account.css` and `notice.css` in this brand's colour.
    pub fn style_sheet(&self) -> String {
        let properties = |shades: &Shades| {
            let Shades { accent, deep, on } = shades;
            format!("--accent:{accent};--accent-deep:{deep};--on-accent:{on}")
        };
        let (light, dark) = (properties(&self.light), properties(&self.dark));
        format!(
            ":root{{{light}}}\n\
             @media (prefers-color-scheme:dark){{:root:not([data-theme=\"light\"]){{{dark}}}}}\n\
             :root[data-theme=\"dark\"]{{{dark}}}\n"
        )
    }
}

fn shades(accent: Colour, deep: Colour) -> Shades {
    let on = if contrast(WHITE, accent) >= ENOUGH { WHITE } else { DARK_INK };
    Shades { accent: accent.to_string(), deep: deep.to_string(), on: on.to_string() }
}

impl Colour {
    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#')?;
        let long: String = match digits.len() {
            3 => digits.chars().flat_map(|digit| [digit, digit]).collect(),
            6 => digits.to_owned(),
            _ => return None,
        };
        let part = |at: usize| u8::from_str_radix(long.get(at..at + 2)?, 16).ok();
        Some(Self { red: part(0)?, green: part(2)?, blue: part(4)? })
    }

    /// This colour, or the nearest one towards `end` that can be read on `ground`.
    fn readable_on(self, ground: Self, end: Self) -> Self {
        (0..=100)
            .map(|percent| self.mixed(end, f64::from(percent) / 100.0))
            .find(|shade| contrast(*shade, ground) >= ENOUGH)
            .unwrap_or(end)
    }

    fn mixed(self, other: Self, share: f64) -> Self {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between two bytes, so a byte"
        )]
        let mix = |a: u8, b: u8| f64::from(a).mul_add(1.0 - share, f64::from(b) * share) as u8;
        Self {
            red: mix(self.red, other.red),
            green: mix(self.green, other.green),
            blue: mix(self.blue, other.blue),
        }
    }

    /// Relative luminance (WCAG 2.2, definitions).
    fn luminance(self) -> f64 {
        let linear = |byte: u8| {
            let value = f64::from(byte) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        linear(self.red)
            .mul_add(0.2126, linear(self.green).mul_add(0.7152, linear(self.blue) * 0.0722))
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.red, self.green, self.blue)
    }
}

/// Contrast ratio (WCAG 2.2, definitions).
fn contrast(one: Colour, other: Colour) -> f64 {
    let (one, other) = (one.luminance(), other.luminance());
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(one: &str, other: &str) -> f64 {
        contrast(Colour::parse(one).unwrap(), Colour::parse(other).unwrap())
    }

    #[test]
    fn contrast_is_as_wcag_computes_it() {
        assert!((ratio("#000", "#fff") - 21.0).abs() < 0.001);
        assert!((ratio("#777777", "#ffffff") - 4.478).abs() < 0.001);
    }

    /// R-D7: whatever colour a brand has, its links and buttons can be read in both themes.
    #[test]
    fn every_colour_becomes_readable() {
        let steps = ["00", "33", "66", "99", "cc", "ff"];
        for red in steps {
            for green in steps {
                for blue in steps {
                    let colour = format!("#{red}{green}{blue}");
                    let accent = Accent::new(&colour).unwrap();
                    for (shades, grounds) in [
                        (&accent.light, ["#ffffff", "#f4f5f7", "#eaf1fd"]),
                        (&accent.dark, ["#0f1115", "#181b21", "#1b2a45"]),
                    ] {
                        for ground in grounds {
                            assert!(ratio(&shades.accent, ground) >= ENOUGH, "{colour} {ground}");
                        }
                        assert!(ratio(&shades.on, &shades.accent) >= ENOUGH, "{colour}: button");
                        assert!(ratio(&shades.on, &shades.deep) >= ENOUGH, "{colour}: hover");
                    }
                }
            }
        }
    }

    #[test]
    fn a_readable_colour_stays_as_it_is() {
        assert_eq!(Accent::new("#154ba8").unwrap().light.accent, "#154ba8");
        assert_eq!(Accent::new("#15a").unwrap().light.accent, "#1155aa");
        for none in ["", "red", "#12", "#12345g", "154ba8", "#€a"] {
            assert_eq!(Accent::new(none), None, "{none}");
        }
    }
}
