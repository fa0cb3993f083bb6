//! What a client asks of a handler of the toolbox: a word behind the path, and numbers in the query.

use crate::error;
use crate::exchange::{Request, Response};
use crate::handler::stripped;
use dream_http::Reject;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

/// What was asked for cannot be had, and why.
#[derive(Debug)]
pub(super) struct Wrong(String);

impl Wrong {
    /// The answer that says so.
    pub(super) fn answer(&self, request: &Request) -> Response {
        error::page(400, request, &self.0)
    }
}

impl From<Reject> for Wrong {
    fn from(reject: Reject) -> Wrong {
        Wrong(reject.to_string())
    }
}

/// What stands behind the first `strip` bytes of the path and a slash.
pub(super) fn word(request: &Request, strip: usize) -> &[u8] {
    let path = stripped(request.head.path(), strip);
    path.strip_prefix(b"/").unwrap_or(path)
}

/// The number behind the path, which must be one of `range`.
pub(super) fn number<T>(
    request: &Request,
    strip: usize,
    name: &str,
    range: RangeInclusive<T>,
) -> Result<T, Wrong>
where
    T: FromStr + PartialOrd + Display,
{
    read(word(request, strip), name, range)
}

/// The number that the query gives `name`, which must be one of `range`; `usual` if it gives none.
pub(super) fn option<T>(
    request: &Request,
    name: &str,
    usual: T,
    range: RangeInclusive<T>,
) -> Result<T, Wrong>
where
    T: FromStr + PartialOrd + Display,
{
    let query = request.head.query().unwrap_or_default();
    let mut pairs = query.split(|&byte| byte == b'&');
    let value = pairs.find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
    value.map_or(Ok(usual), |value| read(value, name, range))
}

/// As [`option`], in seconds, which may have a fraction.
pub(super) fn seconds(
    request: &Request,
    name: &str,
    usual: f64,
    most: f64,
) -> Result<Duration, Wrong> {
    option(request, name, usual, 0.0..=most).map(Duration::from_secs_f64)
}

fn read<T>(text: &[u8], name: &str, range: RangeInclusive<T>) -> Result<T, Wrong>
where
    T: FromStr + PartialOrd + Display,
{
    let number = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok());
    number
        .filter(|number| range.contains(number))
        .ok_or_else(|| {
            let (least, most) = (range.start(), range.end());
            let said = String::from_utf8_lossy(text);
            Wrong(format!(
                "The {name} is a number from {least} to {most}, not \u{201c}{said}\u{201d}."
            ))
        })
}
