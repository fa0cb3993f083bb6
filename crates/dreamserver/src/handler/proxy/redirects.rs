//! Redirects of an endpoint that name the endpoint's own address, which clients cannot reach.

use crate::exchange::{Request, Scheme};
use crate::upstream::Endpoint;
use dream_http::{Name, ResponseHead};

/// Where a followed redirect leads.
pub(super) struct Target {
    pub(super) path: Vec<u8>,
    pub(super) query: Option<Vec<u8>>,
}

/// Makes a Location that names the endpoint name us, by what the client called us.
pub(super) fn rewrite(request: &Request, head: &mut ResponseHead, endpoint: &Endpoint) {
    let host = request.head.host();
    let Some(location) = head.fields.get(Name::Location) else {
        return;
    };
    let Some(rest) = below_endpoint(location, endpoint).filter(|_| !host.is_empty()) else {
        return;
    };
    let scheme = request.peer.scheme.as_str().as_bytes();
    let location = [scheme, b"://", host, rest].concat();
    let set = head.fields.set(Name::Location, &location);
    debug_assert!(set.is_ok(), "parts of parsed heads are clean");
}

/// Where the redirect leads, if it is one to the endpoint itself or to the host that was asked for.
pub(super) fn target(
    request: &Request,
    head: &ResponseHead,
    endpoint: &Endpoint,
) -> Option<Target> {
    if !matches!(head.status, 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = head.fields.get(Name::Location)?;
    let rest = below_endpoint(location, endpoint)
        .or_else(|| below(location, request.head.host()))
        .or_else(|| is_path(location).then_some(location))?;
    let rest = rest.split(|&byte| byte == b'#').next().unwrap_or_default();
    let mut parts = rest.splitn(2, |&byte| byte == b'?');
    let path = parts.next().filter(|path| !path.is_empty()).unwrap_or(b"/");
    let query = parts.next();
    let clean = rest.iter().all(u8::is_ascii_graphic);
    clean.then(|| Target {
        path: path.to_vec(),
        query: query.map(<[u8]>::to_vec),
    })
}

/// `//host/` names another host; `/path` does not.
fn is_path(location: &[u8]) -> bool {
    location.starts_with(b"/") && !location.starts_with(b"//")
}

fn below_endpoint<'a>(location: &'a [u8], endpoint: &Endpoint) -> Option<&'a [u8]> {
    let authority = endpoint.authority.as_bytes();
    match endpoint.address.scheme() {
        Scheme::Http => {
            below(location, authority).or_else(|| below(location, authority.strip_suffix(b":80")?))
        }
        // The port of https is left out of its authority.
        Scheme::Https => below_scheme(location, b"https://", authority)
            .or_else(|| below_scheme(location, b"https://", &[authority, b":443"].concat())),
    }
}

/// What follows `http://authority` in `location`, if it begins so.
fn below<'a>(location: &'a [u8], authority: &[u8]) -> Option<&'a [u8]> {
    below_scheme(location, b"http://", authority)
}

fn below_scheme<'a>(location: &'a [u8], scheme: &[u8], authority: &[u8]) -> Option<&'a [u8]> {
    let start = location.get(..scheme.len())?;
    let rest = start
        .eq_ignore_ascii_case(scheme)
        .then(|| &location[scheme.len()..])?;
    let named = rest.get(..authority.len())?;
    let tail = &rest[authority.len()..];
    let whole = matches!(tail.first(), None | Some(b'/' | b'?' | b'#'));
    (whole && !authority.is_empty() && named.eq_ignore_ascii_case(authority)).then_some(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_authority_counts() {
        let a = b"127.0.0.1:80";
        assert_eq!(below(b"http://127.0.0.1:80/x", a), Some(&b"/x"[..]));
        assert_eq!(below(b"HTTP://127.0.0.1:80", a), Some(&b""[..]));
        assert_eq!(below(b"http://127.0.0.1:8080/x", a), None);
        assert_eq!(below(b"https://127.0.0.1:80/x", a), None);
        assert_eq!(below(b"/x", a), None);
    }
}
