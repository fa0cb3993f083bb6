//! What a proxy takes out of a head and what it puts in (RFC 9110 §7.6).

use super::forwarded::{Forwarding, is_forwarding};
use crate::exchange::{Request, put};
use crate::upstream::Upstream;
use dream_http::{Fields, Method, Name, NameSet, RequestHead, ResponseHead, Version};
use ipnet::IpNet;

/// A request that has passed through here this often goes in circles → 508.
pub(super) const MAX_HOPS: usize = 5;

/// Our name in `Via`.
const PSEUDONYM: &[u8] = b"dreamserver";

/// How often the request has passed through a server of our kind.
pub(super) fn hops(fields: &Fields) -> usize {
    fields
        .get_all(Name::Via)
        .flat_map(|value| value.split(|&byte| byte == b','))
        .filter(|hop| hop.trim_ascii_end().ends_with(PSEUDONYM))
        .count()
}

/// The protocol that the client asks to switch to, if it may: one of `allowed`, with GET and without
/// a body, since what follows the head must stay here until the 101.
pub(super) fn wanted_upgrade(head: &RequestHead, allowed: &[String]) -> Option<String> {
    let asks = head.version == Version::Http11
        && head.method == Method::Get
        && head.framing == dream_http::h1::Framing::None
        && head.fields.has_token(Name::Connection, b"upgrade");
    let wanted = head.fields.get(Name::Upgrade).filter(|_| asks)?;
    let only_one = head.fields.get_all(Name::Upgrade).count() == 1;
    let allowed = allowed
        .iter()
        .find(|protocol| protocol.as_bytes().eq_ignore_ascii_case(wanted))?;
    only_one.then(|| allowed.clone())
}

/// Does the head that goes to the endpoint ask for a switch?
pub(super) fn is_upgrade(fields: &Fields) -> bool {
    fields.has(Name::Upgrade)
}

/// Makes the client's head ours.
pub(super) fn prepare_request(
    request: &mut Request,
    trusted: &[IpNet],
    upgrade: bool,
    upstream: &Upstream,
) {
    let forwarding = Forwarding::of(request, trusted);
    let fields = &mut request.head.fields;
    let wants_trailers = fields.has_token(Name::Te, b"trailers");
    remove_hop_by_hop(fields, upgrade);
    fields.remove_all(OURS);
    fields.remove_unknown(|name| is_dangerous(name) || is_forwarding(name));
    forwarding.write(request);
    let fields = &mut request.head.fields;
    if wants_trailers {
        put(fields, Name::Te, b"trailers");
    }
    put(fields, Name::Via, b"1.1 dreamserver");
    put(fields, Name::XRequestId, request.id.as_bytes());
    if !fields.has(Name::Host) {
        // HTTP/1.0 may lack it, HTTP/1.1 may not.
        put(fields, Name::Host, upstream.host().as_bytes());
    }
}

/// Makes the endpoint's head ours.
pub(super) fn prepare_response(head: &mut ResponseHead, upgrade: Option<&str>) {
    let switched = upgrade.is_some() && head.status == 101;
    remove_hop_by_hop(&mut head.fields, switched);
    put(&mut head.fields, Name::Via, b"1.1 dreamserver");
}

/// Fields that concern one connection only, even where `Connection` does not say so (RFC 9110 §7.6.1).
const HOP_BY_HOP: NameSet = NameSet::of(&[
    Name::Connection,
    Name::ProxyConnection,
    Name::KeepAlive,
    Name::Te,
    Name::Trailer,
    Name::TransferEncoding,
    Name::ProxyAuthenticate,
    Name::ProxyAuthorization,
    Name::AltSvc,
]);

/// What an endpoint hears from us and from nobody else; and `Proxy`, which becomes HTTP_PROXY in CGI programs.
pub(super) const OURS: NameSet = NameSet::of(&[
    Name::Proxy,
    Name::XRequestId,
    Name::Forwarded,
    Name::XClientSubject,
    Name::XRealIp,
    Name::XForwardedFor,
    Name::XForwardedHost,
    Name::XForwardedPort,
    Name::XForwardedProto,
]);

/// Names with `_` become those with `-` in CGI programs.
fn is_dangerous(name: &[u8]) -> bool {
    name.contains(&b'_')
}

/// Removes what concerns one connection only: what `Connection` names, and the usual ones (RFC 9110 §7.6.1).
fn remove_hop_by_hop(fields: &mut Fields, keep_upgrade: bool) {
    // `keep-alive` and `close` are what nearly everyone writes.
    let only_usual = fields.get_all(Name::Connection).all(need_not_be_removed);
    if !only_usual {
        remove_named(fields);
    }
    fields.remove_all(HOP_BY_HOP);
    if !keep_upgrade {
        fields.remove(Name::Upgrade);
    }
}

fn remove_named(fields: &mut Fields) {
    let named: Vec<Vec<u8>> = fields
        .get_all(Name::Connection)
        .flat_map(|value| value.split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|name| !need_not_be_removed(name))
        .map(<[u8]>::to_vec)
        .collect();
    for name in &named {
        fields.remove_text(name);
    }
}

/// Names in `Connection` that need no obeying: `close`, which is no field, those that are removed anyway, and those without which the
/// message would mean something else (`Connection: host`).
fn need_not_be_removed(name: &[u8]) -> bool {
    let known = Name::find(name);
    HOP_BY_HOP.has(known)
        || MEANING.has(known)
        || known == Name::Upgrade
        || name.eq_ignore_ascii_case(b"close")
}

const MEANING: NameSet = NameSet::of(&[
    Name::Host,
    Name::ContentLength,
    Name::ContentType,
    Name::Authorization,
]);
