//! Request targets (RFC 9112 §3.2) and the one function that cleans a path.

use crate::{Reason, Reject};
use alloc::vec::Vec;

/// Which of the four forms a target has (RFC 9112 §3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetForm {
    /// `/path?query`
    #[default]
    Origin,
    /// `http://host:port/path?query`
    Absolute,
    /// `host:port`, with CONNECT only
    Authority,
    /// `*`, with OPTIONS only
    Asterisk,
}

/// A target and its parts; a part that the form lacks is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// The form.
    pub form: TargetForm,
    /// The target as it was written.
    pub whole: &'a [u8],
    /// Host and port of the absolute and the authority form.
    pub authority: &'a [u8],
    /// The path: begins with `/`, or is `*`, or is empty (authority form).
    pub path: &'a [u8],
    /// What stands behind `?`.
    pub query: Option<&'a [u8]>,
}

/// Cleans a path: unreserved characters that are percent-encoded are decoded (RFC 3986 §6.2.2.2), the hex digits of the
/// other escapes made upper-case, dot segments removed (RFC 3986 §5.2.4), `%2F` and `%5C` kept as
/// they are. `None` means that `path` is clean already and nothing was written to `clean`
/// (the usual case); otherwise the clean path replaces what `clean` held.
///
/// # Errors
/// A path that does not begin with `/`, leaves the root, holds `%00`, or an escape that is not two hex digits.
pub fn clean_path(path: &[u8], clean: &mut Vec<u8>) -> Result<Option<()>, Reject> {
    if path.first() != Some(&b'/') {
        return Err(Reject::new(Reason::Path, 0));
    }
    if is_clean(path) {
        return Ok(None);
    }
    clean.clear();
    let mut at = 0;
    while at < path.len() {
        at = clean_segment(path, at, clean)?;
    }
    Ok((clean != path).then_some(()))
}

/// Decodes the escapes of a text (RFC 3986 §2.1) and appends what they stand for to `decoded`.
///
/// # Errors
/// A `%` without two hex digits behind it; `decoded` then holds what stands before it.
pub fn decode_escapes(text: &[u8], decoded: &mut Vec<u8>) -> Result<(), Reject> {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'%', rest) {
        decoded.extend_from_slice(&rest[..at]);
        let byte = match rest[at + 1..] {
            [high, low, ..] => hex(high).zip(hex(low)),
            _ => None,
        };
        let (high, low) = byte.ok_or(Reject::new(Reason::Path, text.len() - rest.len() + at))?;
        decoded.push(high << 4 | low);
        rest = &rest[at + 3..];
    }
    decoded.extend_from_slice(rest);
    Ok(())
}

/// No escapes and no dot segments: one fast look at the usual path.
fn is_clean(path: &[u8]) -> bool {
    memchr::memchr2_iter(b'%', b'.', path)
        .all(|at| path[at] == b'.' && !(path[at - 1] == b'/' && begins_with_dots(&path[at..])))
}

/// Is the segment that `rest` begins with `.` or `..`?
fn begins_with_dots(rest: &[u8]) -> bool {
    matches!(
        rest,
        b"." | b".." | [b'.', b'/', ..] | [b'.', b'.', b'/', ..]
    )
}

/// Adds the segment whose `/` is at `path[at]` to `clean`, or lets it take one away; tells where the next begins.
fn clean_segment(path: &[u8], mut at: usize, clean: &mut Vec<u8>) -> Result<usize, Reject> {
    let start = clean.len();
    let slash = at;
    clean.push(b'/');
    at += 1;
    while let Some(&byte) = path.get(at) {
        match byte {
            b'/' => break,
            b'%' => {
                decode(path, at, clean)?;
                at += 3;
            }
            _ => {
                clean.push(byte);
                at += 1;
            }
        }
    }
    match &clean[start + 1..] {
        b"." => clean.truncate(start),
        b".." => {
            clean.truncate(start);
            let parent = clean.iter().rposition(|&byte| byte == b'/');
            clean.truncate(parent.ok_or(Reject::new(Reason::Path, slash))?);
        }
        _ => return Ok(at),
    }
    // RFC 3986 §5.2.4: what ends in a dot segment is a folder.
    if at == path.len() {
        clean.push(b'/');
    }
    Ok(at)
}

/// Decodes the escape at `path[at]` if it stands for an unreserved character (RFC 3986 §2.3), else keeps it in upper case.
fn decode(path: &[u8], at: usize, clean: &mut Vec<u8>) -> Result<(), Reject> {
    let byte = match path.get(at + 1..at + 3) {
        Some(&[high, low]) => hex(high).zip(hex(low)).map(|(high, low)| high << 4 | low),
        _ => None,
    };
    match byte {
        None | Some(0) => return Err(Reject::new(Reason::Path, at)),
        Some(byte) if is_unreserved(byte) => clean.push(byte),
        Some(_) => {
            clean.push(b'%');
            clean.extend(path[at + 1..at + 3].iter().map(u8::to_ascii_uppercase));
        }
    }
    Ok(())
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|digit| digit as u8)
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}
