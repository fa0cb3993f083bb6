//! Who the client is, for the endpoint: the `X-Forwarded-*` family and `Forwarded` (RFC 7239).
//!
//! Both families are written from one list of addresses, so they can never disagree. Only a trusted
//! peer's list is taken over; anyone else could write anything into it.

use super::forward::append;
use crate::exchange::Request;
use dream_http::{Fields, Name};
use ipnet::IpNet;
use std::fmt::Write;
use std::net::IpAddr;

/// The client's address: the peer's, or what a chain of trusted peers says, read from right to left up
/// to the first address that is not trusted.
pub fn client_address(request: &Request, trusted: &[IpNet]) -> IpAddr {
    let peer = request.peer.ip();
    if !is_trusted(peer, trusted) {
        return peer;
    }
    let chain = chain(&request.head.fields);
    chain
        .iter()
        .rev()
        .copied()
        .find(|ip| !is_trusted(*ip, trusted))
        .or(chain.first().copied())
        .unwrap_or(peer)
}

/// Replaces both families by our own; a trusted peer's list of addresses, scheme, host and port are
/// kept and added to.
pub(super) fn overwrite(request: &mut Request, trusted: &[IpNet]) {
    let peer = request.peer.ip();
    let from_trusted = is_trusted(peer, trusted);
    let mut addresses = Vec::new();
    let mut told = Told::default();
    if from_trusted {
        addresses = chain(&request.head.fields);
        told = Told::read(&request.head.fields);
    }
    let real = client_address(request, trusted);
    addresses.push(peer);
    let host = told.host.unwrap_or_else(|| request.head.host().to_vec());
    let proto = told
        .proto
        .unwrap_or_else(|| request.peer.scheme.as_str().into());
    let port = told
        .port
        .unwrap_or_else(|| request.peer.local.port().to_string().into());
    let fields = &mut request.head.fields;
    fields.remove_where(|field| {
        field.name == Name::Forwarded
            || field.name == Name::XRealIp
            || starts_with(field.text, b"x-forwarded-")
    });
    let text = addresses_text(&addresses);
    append(fields, Name::XForwardedFor, text.as_bytes());
    append(fields, Name::XForwardedProto, &proto);
    if !host.is_empty() {
        append(fields, Name::XForwardedHost, &host);
    }
    append(fields, Name::XForwardedPort, &port);
    append(fields, Name::XRealIp, real.to_string().as_bytes());
    append(
        fields,
        Name::Forwarded,
        &forwarded(&addresses, &proto, &host),
    );
}

/// What a trusted peer tells of the request it got.
#[derive(Default)]
struct Told {
    proto: Option<Vec<u8>>,
    host: Option<Vec<u8>>,
    port: Option<Vec<u8>>,
}

impl Told {
    fn read(fields: &Fields) -> Told {
        let one = |name| fields.get(name).map(<[u8]>::to_vec);
        let is_scheme = |value: &Vec<u8>| value == b"http" || value == b"https";
        let is_port = |value: &Vec<u8>| !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        Told {
            proto: one(Name::XForwardedProto).filter(is_scheme),
            host: one(Name::XForwardedHost),
            port: one(Name::XForwardedPort).filter(is_port),
        }
    }
}

fn is_trusted(ip: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|network| network.contains(&ip))
}

/// The addresses that the request's fields name, from the client on: of `X-Forwarded-For`, else of
/// `Forwarded`. Reading ends at the first from the right that is no address.
fn chain(fields: &Fields) -> Vec<IpAddr> {
    let name = if fields.has(Name::XForwardedFor) {
        Name::XForwardedFor
    } else {
        Name::Forwarded
    };
    let members: Vec<&[u8]> = fields
        .get_all(name)
        .flat_map(|value| value.split(|&byte| byte == b','))
        .collect();
    let parse = if name == Name::XForwardedFor {
        address
    } else {
        for_parameter
    };
    let mut chain: Vec<IpAddr> = members
        .iter()
        .rev()
        .map_while(|member| parse(member))
        .collect();
    chain.reverse();
    chain
}

/// The address of a `for=` parameter (RFC 7239 §5.2).
fn for_parameter(element: &[u8]) -> Option<IpAddr> {
    let value = element.split(|&byte| byte == b';').find_map(|pair| {
        let pair = pair.trim_ascii();
        starts_with(pair, b"for=").then(|| &pair[4..])
    })?;
    address(value)
}

/// An address, perhaps quoted, in brackets, or with a port.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim().trim_matches('"');
    if let Ok(ip) = text.parse() {
        return Some(ip);
    }
    if let Some((ip, _)) = text.strip_prefix('[')?.split_once(']') {
        return ip.parse().ok();
    }
    let (ip, _) = text.rsplit_once(':')?;
    ip.parse().ok()
}

fn addresses_text(addresses: &[IpAddr]) -> String {
    let mut text = String::new();
    for address in addresses {
        let separator = if text.is_empty() { "" } else { ", " };
        let _ = write!(text, "{separator}{address}");
    }
    text
}

/// The `Forwarded` field: an element an address, the last one with what we know of the request.
fn forwarded(addresses: &[IpAddr], proto: &[u8], host: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for address in addresses {
        if !text.is_empty() {
            text.extend_from_slice(b", ");
        }
        let node = match address {
            IpAddr::V4(v4) => format!("for={v4}"),
            // An IPv6 address stands in brackets and quotes (RFC 7239 §6).
            IpAddr::V6(v6) => format!("for=\"[{v6}]\""),
        };
        text.extend_from_slice(node.as_bytes());
    }
    text.extend_from_slice(b";proto=");
    text.extend_from_slice(proto);
    if !host.is_empty() {
        text.extend_from_slice(b";host=\"");
        text.extend(host.iter().filter(|byte| !matches!(byte, b'"' | b'\\')));
        text.push(b'"');
    }
    text
}

fn starts_with(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::{Body, Peer, RequestId};
    use std::time::Instant;

    fn request(peer: &str, fields: &[(&str, &str)]) -> Request {
        let mut request = Request {
            head: dream_http::RequestHead::new(),
            body: Body::Empty,
            peer: Peer {
                remote: std::net::SocketAddr::new(peer.parse().unwrap(), 1),
                ..Peer::local()
            },
            id: RequestId::parse(b"x").unwrap(),
            received: Instant::now(),
            interim: None,
        };
        let head = &mut request.head.fields;
        head.append(Name::Host, b"example.com").unwrap();
        for (name, value) in fields {
            head.append_text(name.as_bytes(), value.as_bytes()).unwrap();
        }
        request
    }

    fn field(request: &Request, name: Name) -> String {
        String::from_utf8(request.head.fields.get(name).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn a_stranger_is_not_believed() {
        let mut request = request(
            "9.9.9.9",
            &[("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-Evil", "x")],
        );
        overwrite(&mut request, &[]);
        assert_eq!(field(&request, Name::XForwardedFor), "9.9.9.9");
        assert_eq!(
            field(&request, Name::Forwarded),
            "for=9.9.9.9;proto=http;host=\"example.com\""
        );
        assert_eq!(request.head.fields.find(b"x-forwarded-evil"), None);
    }

    #[test]
    fn a_trusted_peer_is_added_to() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let mut request = request(
            "10.0.0.1",
            &[("X-Forwarded-For", "6.6.6.6, 2001:db8::1, 10.0.0.2")],
        );
        assert_eq!(
            client_address(&request, &trusted),
            "2001:db8::1".parse::<IpAddr>().unwrap()
        );
        overwrite(&mut request, &trusted);
        assert_eq!(
            field(&request, Name::XForwardedFor),
            "6.6.6.6, 2001:db8::1, 10.0.0.2, 10.0.0.1"
        );
        assert_eq!(field(&request, Name::XRealIp), "2001:db8::1");
        assert!(field(&request, Name::Forwarded).contains("for=\"[2001:db8::1]\""));
    }

    #[test]
    fn the_standard_field_alone_is_read_too() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let request = request(
            "10.0.0.1",
            &[("Forwarded", "for=\"[2001:db8::7]:4711\";proto=https")],
        );
        assert_eq!(
            client_address(&request, &trusted),
            "2001:db8::7".parse::<IpAddr>().unwrap()
        );
    }
}
