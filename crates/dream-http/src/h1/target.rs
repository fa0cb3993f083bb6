//! The target of a request and its host, taken apart and checked (RFC 9112 §3.2 and §3.3).

use super::control::{Control, Once};
use super::scan::{find_byte, is_plain_host};
use crate::fields::Span;
use crate::head::TargetSpans;
use crate::target::TargetForm;
use crate::{Method, Reason, Reject, RequestHead, Version};
use core::net::Ipv6Addr;

/// Takes the target at `whole` apart. Its bytes are checked already.
pub(super) fn split(message: &[u8], whole: Span, method: Method) -> Result<TargetSpans, Reject> {
    let text = whole.of(message);
    match (method, text) {
        (Method::Connect, _) => authority_form(message, whole),
        (_, [b'/', ..]) => Ok(with_path(message, whole, TargetForm::Origin, 0)),
        (Method::Options, b"*") => Ok(TargetSpans {
            form: TargetForm::Asterisk,
            whole,
            path: whole,
            ..TargetSpans::default()
        }),
        _ => absolute_form(message, whole),
    }
}

/// RFC 9112 §3.2.3: host and port, nothing else; only CONNECT has it.
fn authority_form(message: &[u8], whole: Span) -> Result<TargetSpans, Reject> {
    let authority = Authority::parse(whole.of(message));
    if authority.is_none_or(|authority| authority.port.is_none()) {
        return Err(Reject::new(Reason::TargetForm, whole.at as usize));
    }
    Ok(TargetSpans {
        form: TargetForm::Authority,
        whole,
        authority: whole,
        ..TargetSpans::default()
    })
}

/// RFC 9112 §3.2.2: servers accept it, proxies receive it.
fn absolute_form(message: &[u8], whole: Span) -> Result<TargetSpans, Reject> {
    let text = whole.of(message);
    let Some(scheme) = Scheme::of(text) else {
        return Err(Reject::new(Reason::TargetForm, whole.at as usize));
    };
    let start = scheme.prefix().len();
    let rest = &text[start..];
    let len = rest
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?'))
        .unwrap_or(rest.len());
    let at = whole.at as usize + start;
    if Authority::parse(&rest[..len]).is_none() {
        return Err(Reject::new(Reason::HostInvalid, at));
    }
    let mut spans = with_path(message, whole, TargetForm::Absolute, start + len);
    spans.authority = Span {
        at: at as u32,
        len: len as u32,
    };
    Ok(spans)
}

/// The target whose path begins `path` bytes behind its start and ends at a `?`.
fn with_path(message: &[u8], whole: Span, form: TargetForm, path: usize) -> TargetSpans {
    let text = &whole.of(message)[path..];
    let at = whole.at + path as u32;
    let question = find_byte(text, b'?');
    let query = question.map(|question| Span {
        at: at + question as u32 + 1,
        len: (text.len() - question - 1) as u32,
    });
    TargetSpans {
        form,
        whole,
        authority: Span::default(),
        path: Span {
            at,
            len: question.unwrap_or(text.len()) as u32,
        },
        query,
    }
}

/// An absolute target without a path means `/` (RFC 9110 §4.2.3), with OPTIONS `*` (RFC 9112 §3.2.4).
pub(super) fn fill_path(head: &mut RequestHead) {
    let target = head.target;
    if target.form == TargetForm::Absolute && target.path.len == 0 {
        let asterisk = head.method == Method::Options && target.query.is_none();
        let path: &[u8] = if asterisk { b"*" } else { b"/" };
        head.target.path = head.fields.push_bytes(path);
    }
}

/// RFC 9112 §3.2: exactly one valid Host in HTTP/1.1, at most one in HTTP/1.0, and none that
/// names another server than the target does.
pub(super) fn check_host(head: &RequestHead, control: &Control<'_>) -> Result<(), Reject> {
    let (value, at) = match control.host {
        Once::One { value, at } => (value, at),
        Once::Repeated { at } => return Err(Reject::new(Reason::HostRepeated, at)),
        Once::Absent if head.version == Version::Http10 => return Ok(()),
        Once::Absent => return Err(Reject::new(Reason::HostMissing, head.fields.bytes.len())),
    };
    let has_authority = head.target.authority.len > 0;
    if !has_authority && is_plain_host(value) {
        return Ok(());
    }
    let Some(host) = Authority::parse(value) else {
        return Err(Reject::new(Reason::HostInvalid, at));
    };
    match target_authority(head) {
        Some((target, default)) if !host.agrees(&target, default) => {
            Err(Reject::new(Reason::HostContradicts, at))
        }
        _ => Ok(()),
    }
}

/// The authority of the target, if its form has one, and the port that goes without saying.
fn target_authority(head: &RequestHead) -> Option<(Authority<'_>, u16)> {
    let target = head.target();
    let authority = Authority::parse(target.authority)?;
    let default = match Scheme::of(target.whole) {
        _ if target.form == TargetForm::Authority => authority.port?,
        Some(scheme) => scheme.port(),
        None => return None,
    };
    Some((authority, default))
}

/// The schemes that a target may have (RFC 9110 §4.2).
#[derive(Clone, Copy)]
enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn of(target: &[u8]) -> Option<Scheme> {
        [Scheme::Https, Scheme::Http].into_iter().find(|scheme| {
            let prefix = scheme.prefix();
            target.len() >= prefix.len() && target[..prefix.len()].eq_ignore_ascii_case(prefix)
        })
    }

    fn prefix(self) -> &'static [u8] {
        match self {
            Scheme::Http => b"http://",
            Scheme::Https => b"https://",
        }
    }

    fn port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

/// `uri-host [ ":" port ]` (RFC 9110 §7.2), without userinfo.
#[derive(Clone, Copy)]
struct Authority<'a> {
    host: &'a [u8],
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    fn parse(text: &'a [u8]) -> Option<Authority<'a>> {
        let (host, rest) = match text {
            [b'[', inner @ ..] => {
                let end = inner.iter().position(|&byte| byte == b']')?;
                // IPvFuture (RFC 3986 §3.2.2) has no user, zones are local to a machine: neither is taken.
                let address = core::str::from_utf8(&inner[..end]).ok()?;
                address.parse::<Ipv6Addr>().ok()?;
                text.split_at(end + 2)
            }
            _ => text.split_at(reg_name_len(text)?),
        };
        let port = match rest {
            // RFC 3986 §3.2.3: an empty port is the default one.
            [] | [b':'] => None,
            [b':', digits @ ..] => Some(port(digits)?),
            _ => return None,
        };
        Some(Authority { host, port })
    }

    /// Do both name the same server, if no port means `default`?
    fn agrees(&self, other: &Authority<'_>, default: u16) -> bool {
        self.host.eq_ignore_ascii_case(other.host)
            && self.port.unwrap_or(default) == other.port.unwrap_or(default)
    }
}

/// The length of the `reg-name` (RFC 3986 §3.2.2) that `text` begins with, which also covers IPv4; `None` if it is empty or
/// malformed. The comma, allowed there, is refused: it would hide a list of hosts.
fn reg_name_len(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let plain = text[at..].iter().position(|&byte| !REG_NAME[byte as usize]);
        at = plain.map_or(text.len(), |plain| at + plain);
        match text.get(at) {
            None | Some(b':') => return (at > 0).then_some(at),
            Some(b'%') => {
                let escape = text.get(at + 1..at + 3)?;
                escape.iter().all(u8::is_ascii_hexdigit).then_some(())?;
                at += 3;
            }
            Some(_) => return None,
        }
    }
}

static REG_NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"-._~!$&'()*+;=";
    let mut index = 0;
    while index < others.len() {
        table[others[index] as usize] = true;
        index += 1;
    }
    table
};

fn port(digits: &[u8]) -> Option<u16> {
    let in_range = digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit);
    let text = core::str::from_utf8(digits).ok()?;
    in_range.then(|| text.parse().ok()).flatten()
}
