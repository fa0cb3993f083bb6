//! Who the client is, for the endpoint: the `X-Forwarded-*` family and `Forwarded` (RFC 7239).
//!
//! Both families are written from one list of addresses, so they can never disagree. Only a trusted
//! peer's list is taken over; anyone else could write anything into it.

use crate::digits::address;
use crate::exchange::{Peer, Request, put};
use crate::spare;
use dream_http::{Fields, Name};
use ipnet::IpNet;
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

/// Both families of fields for a request, to be written into its head once the client's own are gone.
pub(super) enum Forwarding {
    /// What we know ourselves.
    Stranger,
    /// What a trusted peer says, too.
    Trusted {
        /// The client first, our peer last.
        addresses: Vec<IpAddr>,
        real: IpAddr,
        told: Told,
    },
}

impl Forwarding {
    /// What is known of the client.
    pub(super) fn of(request: &Request, trusted: &[IpNet]) -> Forwarding {
        let peer = request.peer.ip();
        if !is_trusted(peer, trusted) {
            return Forwarding::Stranger;
        }
        let mut addresses = chain(&request.head.fields);
        addresses.push(peer);
        Forwarding::Trusted {
            addresses,
            real: client_address(request, trusted),
            told: Told::read(&request.head.fields),
        }
    }

    /// Writes the fields.
    pub(super) fn write(self, request: &mut Request) {
        match self {
            Forwarding::Stranger => introduce(request),
            Forwarding::Trusted {
                addresses,
                real,
                told,
            } => pass_on(request, &addresses, real, told),
        }
    }
}

/// Writes the fields for a client of which nobody told us. Most of them are the same for every request of its connection.
fn introduce(request: &mut Request) {
    let peer = request.peer.clone();
    let introduction = peer
        .introduction
        .get_or_init(|| Box::new(introduction(&peer)));
    let ip = introduction.get(Name::XRealIp).unwrap_or_default();
    request.head.fields.extend(introduction);
    let (mut host, mut forwarded) = (spare::buffer(), spare::buffer());
    host.extend_from_slice(request.head.host());
    write_element(peer.ip(), ip, &mut forwarded);
    write_parameters(peer.scheme.as_str().as_bytes(), &host, &mut forwarded);
    append_host(&mut request.head.fields, &host, &forwarded);
    spare::keep_buffer(host);
    spare::keep_buffer(forwarded);
}

fn introduction(peer: &Peer) -> Fields {
    let mut ip = Vec::new();
    address(peer.ip(), &mut ip);
    let mut fields = Fields::new();
    put(&mut fields, Name::XForwardedFor, &ip);
    let scheme = peer.scheme.as_str();
    put(&mut fields, Name::XForwardedProto, scheme.as_bytes());
    put(&mut fields, Name::XForwardedPort, &port(peer));
    put(&mut fields, Name::XRealIp, &ip);
    append_subject(&mut fields, peer);
    fields
}

/// Writes the fields for a client of which a trusted peer told us.
fn pass_on(request: &mut Request, addresses: &[IpAddr], real: IpAddr, told: Told) {
    let peer = request.peer.clone();
    let host = told.host.unwrap_or_else(|| request.head.host().to_vec());
    let proto = told
        .proto
        .unwrap_or_else(|| peer.scheme.as_str().as_bytes().to_vec());
    let (mut list, mut forwarded) = (Vec::new(), Vec::new());
    for (index, ip) in addresses.iter().enumerate() {
        if index > 0 {
            list.extend_from_slice(b", ");
            forwarded.extend_from_slice(b", ");
        }
        let start = list.len();
        address(*ip, &mut list);
        write_element(*ip, &list[start..], &mut forwarded);
    }
    write_parameters(&proto, &host, &mut forwarded);
    let fields = &mut request.head.fields;
    put(fields, Name::XForwardedFor, &list);
    put(fields, Name::XForwardedProto, &proto);
    let port = told.port.unwrap_or_else(|| port(&peer));
    put(fields, Name::XForwardedPort, &port);
    put(fields, Name::XRealIp, real.to_string().as_bytes());
    append_subject(fields, &peer);
    append_host(fields, &host, &forwarded);
}

/// Who our peer has proved to be; what it says of itself was removed.
fn append_subject(fields: &mut Fields, peer: &Peer) {
    let security = peer.security.as_deref();
    if let Some(client) = security.and_then(|security| security.client.as_ref()) {
        put(fields, Name::XClientSubject, client.subject.as_bytes());
    }
}

fn port(peer: &Peer) -> Vec<u8> {
    peer.local.port().to_string().into_bytes()
}

fn append_host(fields: &mut Fields, host: &[u8], forwarded: &[u8]) {
    if !host.is_empty() {
        put(fields, Name::XForwardedHost, host);
    }
    put(fields, Name::Forwarded, forwarded);
}

/// An address as an element of `Forwarded`: IPv6 stands in brackets and quotes (RFC 7239 §6).
fn write_element(ip: IpAddr, text: &[u8], out: &mut Vec<u8>) {
    let (before, after): (&[u8], &[u8]) = match ip {
        IpAddr::V4(_) => (b"for=", b""),
        IpAddr::V6(_) => (b"for=\"[", b"]\""),
    };
    out.extend_from_slice(before);
    out.extend_from_slice(text);
    out.extend_from_slice(after);
}

/// Adds what we know of the request to the last element of `Forwarded`.
fn write_parameters(proto: &[u8], host: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b";proto=");
    out.extend_from_slice(proto);
    if host.is_empty() {
        return;
    }
    out.extend_from_slice(b";host=\"");
    let start = out.len();
    out.extend_from_slice(host);
    if memchr::memchr2(b'"', b'\\', host).is_some() {
        out.truncate(start);
        out.extend(host.iter().filter(|byte| !matches!(byte, b'"' | b'\\')));
    }
    out.push(b'"');
}

/// Does a field with this unknown name belong to the family by its looks?
pub(super) fn is_forwarding(name: &[u8]) -> bool {
    starts_with(name, b"x-forwarded-")
}

/// What a trusted peer tells of the request it got.
#[derive(Default)]
pub(super) struct Told {
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
        parse_address
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
    parse_address(value)
}

/// An address, perhaps quoted, in brackets, or with a port.
fn parse_address(text: &[u8]) -> Option<IpAddr> {
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

fn starts_with(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::RequestId;

    fn request(peer: &str, fields: &[(&str, &str)]) -> Request {
        let peer = Peer {
            remote: std::net::SocketAddr::new(peer.parse().unwrap(), 1),
            ..Peer::local()
        };
        let mut request = Request {
            peer: peer.into(),
            id: RequestId::parse(b"x").unwrap(),
            ..Request::of_nobody(dream_http::RequestHead::new())
        };
        let head = &mut request.head.fields;
        head.append(Name::Host, b"example.com").unwrap();
        for (name, value) in fields {
            head.append_text(name.as_bytes(), value.as_bytes()).unwrap();
        }
        request
    }

    fn overwrite(request: &mut Request, trusted: &[IpNet]) {
        let forwarding = Forwarding::of(request, trusted);
        let fields = &mut request.head.fields;
        fields.remove_all(super::super::forward::OURS);
        fields.remove_unknown(is_forwarding);
        forwarding.write(request);
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
