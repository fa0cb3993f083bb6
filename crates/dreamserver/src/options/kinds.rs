//! The kinds of values that options have, and how a person writes each of them.

use super::{Item, Kind, Located, Options, Problem, Problems, table_schema};
use crate::address::{EndpointAddress, ListenAddress};
use ipnet::IpNet;
use serde_json::{Value as Json, json};
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;
use toml::de::DeValue;

/// A text; `{env.NAME}` in it is replaced.
pub struct Text;

impl Kind<String> for Text {
    fn expects() -> String {
        "a text".into()
    }

    fn read(item: &Item<'_>, problems: &mut Problems<'_>) -> Option<String> {
        if item.get_ref().as_str().is_none() {
            problems.mismatch::<Text, String>(item);
        }
        problems.text(item)
    }

    fn schema() -> Json {
        json!({ "type": "string" })
    }
}

/// `true` or `false`.
pub struct Flag;

impl Kind<bool> for Flag {
    fn expects() -> String {
        "`true` or `false`".into()
    }

    fn read(item: &Item<'_>, problems: &mut Problems<'_>) -> Option<bool> {
        let flag = item.get_ref().as_bool();
        if flag.is_none() {
            problems.mismatch::<Flag, bool>(item);
        }
        flag
    }

    fn schema() -> Json {
        json!({ "type": "boolean" })
    }
}

/// A whole number that is not negative.
pub struct Count;

impl<T: TryFrom<u64>> Kind<T> for Count
where
    T: Number,
{
    const NONE: bool = true;

    fn expects() -> String {
        "a whole number".into()
    }

    fn read(item: &Item<'_>, problems: &mut Problems<'_>) -> Option<T> {
        let number = integer(item).and_then(|number| T::try_from(number).ok());
        if number.is_none() {
            problems.mismatch::<Count, T>(item);
        }
        number
    }

    fn schema() -> Json {
        json!({ "type": "integer", "minimum": 0 })
    }
}

/// A number of bytes: a plain number, or one with a unit.
pub struct Size;

impl<T: TryFrom<u64>> Kind<T> for Size
where
    T: Number,
{
    const NONE: bool = true;

    fn expects() -> String {
        "a size such as `\"16 KiB\"`, `\"100 MB\"` or `4096`".into()
    }

    fn read(item: &Item<'_>, problems: &mut Problems<'_>) -> Option<T> {
        let bytes = match item.get_ref() {
            DeValue::String(_) => parse_size(&problems.text(item)?),
            _ => integer(item),
        };
        let size = bytes.and_then(|bytes| T::try_from(bytes).ok());
        if size.is_none() {
            problems.mismatch::<Size, T>(item);
        }
        size
    }

    fn schema() -> Json {
        json!({ "anyOf": [
            { "type": "integer", "minimum": 0 },
            { "type": "string", "pattern": "^[0-9]+ *([kKMGT]i?)?B$" },
        ] })
    }
}

/// Types that counts and sizes may have.
pub trait Number {}
impl Number for usize {}
impl Number for u64 {}
impl Number for u16 {}

/// A span of time: numbers with units.
pub struct Time;

impl Kind<Duration> for Time {
    const NONE: bool = true;

    fn expects() -> String {
        "a time such as `\"10s\"`, `\"5min\"`, `\"1h\"` or `\"250ms\"`".into()
    }

    fn read(item: &Item<'_>, problems: &mut Problems<'_>) -> Option<Duration> {
        let time = match item.get_ref() {
            DeValue::String(_) => parse_time(&problems.text(item)?),
            _ => None,
        };
        if time.is_none() {
            problems.mismatch::<Time, Duration>(item);
        }
        time
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^([0-9]+ *(ms|s|min|h|d) *)+$" })
    }
}

/// One of a few words.
pub struct Choice;

/// A type whose values have names in the configuration.
pub trait Choices: Copy + 'static {
    /// The words and what they mean.
    const CHOICES: &'static [(&'static str, Self)];
}

impl<T: Choices> Kind<T> for Choice {
    fn expects() -> String {
        let words: Vec<String> = T::CHOICES
            .iter()
            .map(|(word, _)| format!("`\"{word}\"`"))
            .collect();
        words.join(" or ")
    }

    fn read(item: &Item<'_>, problems: &mut Problems<'_>) -> Option<T> {
        let word = match item.get_ref() {
            DeValue::String(_) => problems.text(item)?,
            _ => String::new(),
        };
        let choice = T::CHOICES.iter().find(|(name, _)| *name == word);
        if choice.is_none() {
            problems.mismatch::<Choice, T>(item);
        }
        choice.map(|(_, value)| *value)
    }

    fn schema() -> Json {
        let words: Vec<&str> = T::CHOICES.iter().map(|(word, _)| *word).collect();
        json!({ "enum": words })
    }
}

/// An address to listen on.
pub struct Listen;

impl Kind<ListenAddress> for Listen {
    fn expects() -> String {
        "an address such as `\":8080\"`, `\"127.0.0.1:8080\"` or `\"[::1]:80\"`".into()
    }

    fn read(item: &Item<'_>, problems: &mut Problems<'_>) -> Option<ListenAddress> {
        read_parsed::<Listen, _>(item, problems)
    }

    fn schema() -> Json {
        json!({ "type": ["string", "integer"] })
    }
}

/// The address of a socket: an IP address with a port.
pub struct Address;

impl Kind<SocketAddr> for Address {
    fn expects() -> String {
        "an address such as `\"9.9.9.9:53\"` or `\"[::1]:53\"`".into()
    }

    fn read(item: &Item<'_>, problems: &mut Problems<'_>) -> Option<SocketAddr> {
        let address = match item.get_ref() {
            DeValue::String(_) => problems.text(item)?.parse().ok(),
            _ => None,
        };
        if address.is_none() {
            problems.mismatch::<Address, SocketAddr>(item);
        }
        address
    }

    fn schema() -> Json {
        json!({ "type": "string" })
    }
}

/// The address of an endpoint.
pub struct Endpoint;

impl Kind<EndpointAddress> for Endpoint {
    fn expects() -> String {
        "an endpoint such as `\"localhost:5665\"`, `\"http://10.0.0.1:80\"`, `\"https://app.example\"` or `\"unix:/run/app.sock\"`"
            .into()
    }

    fn read(item: &Item<'_>, problems: &mut Problems<'_>) -> Option<EndpointAddress> {
        read_parsed::<Endpoint, _>(item, problems)
    }

    fn schema() -> Json {
        json!({ "type": ["string", "integer"] })
    }
}

/// A network; one address is a network of its own.
pub struct Network;

impl Kind<IpNet> for Network {
    fn expects() -> String {
        "a network such as `\"10.0.0.0/8\"` or `\"::1\"`".into()
    }

    fn read(item: &Item<'_>, problems: &mut Problems<'_>) -> Option<IpNet> {
        let network = match item.get_ref() {
            DeValue::String(_) => parse_network(&problems.text(item)?),
            _ => None,
        };
        if network.is_none() {
            problems.mismatch::<Network, IpNet>(item);
        }
        network
    }

    fn schema() -> Json {
        json!({ "type": "string" })
    }
}

/// One value, or a list of them.
pub struct OneOrMany<K>(K);

impl<T, K: Kind<T>> Kind<Vec<T>> for OneOrMany<K> {
    fn expects() -> String {
        format!("{}, or a list of such", K::expects())
    }

    fn read(item: &Item<'_>, problems: &mut Problems<'_>) -> Option<Vec<T>> {
        Some(match item.get_ref() {
            DeValue::Array(items) => items
                .iter()
                .filter_map(|item| K::read(item, problems))
                .collect(),
            _ => K::read(item, problems).into_iter().collect(),
        })
    }

    fn absent() -> Option<Vec<T>> {
        Some(Vec::new())
    }

    fn schema() -> Json {
        json!({ "anyOf": [K::schema(), { "type": "array", "items": K::schema() }] })
    }
}

/// A table of options.
pub struct Table;

impl<O: Options> Kind<O> for Table {
    fn expects() -> String {
        format!("a table, see `{}`", O::PATH)
    }

    fn read(item: &Item<'_>, problems: &mut Problems<'_>) -> Option<O> {
        let table = item.get_ref().as_table();
        if table.is_none() {
            problems.mismatch::<Table, O>(item);
        }
        Some(O::read(table?, problems))
    }

    fn schema() -> Json {
        table_schema::<O>()
    }
}

/// A table of options, or a shorter way to write the usual one.
pub struct Short;

/// A table that can be written shorter.
pub trait Shorthand: Options {
    /// What the shorter way looks like.
    fn expects() -> String;

    /// Reads the shorter way.
    fn read_short(item: &Item<'_>, problems: &mut Problems<'_>) -> Option<Self>;

    /// The JSON Schema of the shorter way.
    fn schema() -> Json;
}

impl<O: Shorthand> Kind<O> for Short {
    fn expects() -> String {
        format!(
            "{}, or a table, see `{}`",
            <O as Shorthand>::expects(),
            O::PATH
        )
    }

    fn read(item: &Item<'_>, problems: &mut Problems<'_>) -> Option<O> {
        match item.get_ref() {
            DeValue::Table(table) => Some(O::read(table, problems)),
            _ => O::read_short(item, problems),
        }
    }

    fn schema() -> Json {
        json!({ "anyOf": [<O as Shorthand>::schema(), table_schema::<O>()] })
    }
}

/// A table whose keys are names of the user's.
pub struct Map<K>(K);

impl<T, K: Kind<T>> Kind<Vec<(Located<String>, T)>> for Map<K> {
    fn expects() -> String {
        format!("a table of names, each with {}", K::expects())
    }

    fn read(item: &Item<'_>, problems: &mut Problems<'_>) -> Option<Vec<(Located<String>, T)>> {
        let Some(table) = item.get_ref().as_table() else {
            problems.mismatch::<Map<K>, Vec<(Located<String>, T)>>(item);
            return None;
        };
        let mut entries = Vec::new();
        for (key, item) in table {
            let name = Located {
                value: key.get_ref().to_string(),
                span: key.span(),
                clean: true,
            };
            entries.extend(K::read(item, problems).map(|value| (name, value)));
        }
        entries.sort_by_key(|(name, _)| name.span.start);
        Some(entries)
    }

    fn absent() -> Option<Vec<(Located<String>, T)>> {
        Some(Vec::new())
    }

    fn schema() -> Json {
        json!({ "type": "object", "additionalProperties": K::schema() })
    }
}

/// Reads a text or a number by its type's own parser.
fn read_parsed<K: Kind<T>, T: FromStr<Err = String>>(
    item: &Item<'_>,
    problems: &mut Problems<'_>,
) -> Option<T> {
    let text = match item.get_ref() {
        DeValue::String(_) => problems.text(item)?,
        DeValue::Integer(number) => number.to_string(),
        _ => {
            problems.mismatch::<K, T>(item);
            return None;
        }
    };
    match text.parse() {
        Ok(value) => Some(value),
        Err(message) => {
            let help = format!("expected {}", K::expects());
            problems.push(Problem::new(item.span(), message).help(help));
            None
        }
    }
}

fn integer(item: &Item<'_>) -> Option<u64> {
    let number = item.get_ref().as_integer()?;
    u64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// Bytes from `16 KiB`: a whole number and a unit of 1000 (kB) or 1024 (KiB).
pub fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split_number(text.trim())?;
    let factor = match unit {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        "TB" => 1_000_000_000_000,
        "TiB" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// A time from `1h 30min`: whole numbers with units, added up.
fn parse_time(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    while let Some((number, after)) = split_number(rest) {
        let end = after
            .find(|letter: char| !letter.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let millis = match &after[..end] {
            "ms" => 1,
            "s" => 1000,
            "min" | "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(Duration::from_millis(number.checked_mul(millis)?))?;
        rest = after[end..].trim_start();
        if rest.is_empty() {
            // Longer than a century is a slip, and deadlines computed from it would overflow.
            return (total <= CENTURY).then_some(total);
        }
    }
    None
}

const CENTURY: Duration = Duration::from_secs(100 * 366 * 86_400);

/// The number that `text` begins with, and what follows without blanks.
fn split_number(text: &str) -> Option<(u64, &str)> {
    let end = text
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(text.len());
    let number = text[..end].parse().ok()?;
    Some((number, text[end..].trim_start()))
}

fn parse_network(text: &str) -> Option<IpNet> {
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse::<IpNet>().ok().or_else(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_know_both_families_of_units() {
        assert_eq!(parse_size("16 KiB"), Some(16384));
        assert_eq!(parse_size("100MB"), Some(100_000_000));
        assert_eq!(parse_size("7"), Some(7));
        for wrong in ["", "KiB", "-1", "1.5 MB", "16 k", "99999999999 TB"] {
            assert_eq!(parse_size(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn times_add_up() {
        assert_eq!(parse_time("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse_time("1h 30min"), Some(Duration::from_secs(5400)));
        for wrong in [
            "",
            "10",
            "s",
            "10 parsecs",
            "1h -1s",
            "99999999999999999999s",
            "200000d",
        ] {
            assert_eq!(parse_time(wrong), None, "{wrong}");
        }
    }
}
