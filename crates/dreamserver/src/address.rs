//! Addresses as a person writes them: where we listen, and where endpoints are.
//!
//! They stand on the shelf because the configuration parses them, the listener binds them and the
//! upstream connects to them.

use crate::exchange::Scheme;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// `:8080`: the port on every address, IPv4 and IPv6.
    Any(u16),
    /// `localhost:8080`: the port on both loopback addresses.
    Loopback(u16),
    /// `127.0.0.1:8080`: this one.
    Exact(SocketAddr),
}

impl ListenAddress {
    /// The addresses to bind, IPv6 first. Of two, one is enough on a machine without the other family.
    pub fn sockets(&self) -> Vec<SocketAddr> {
        match *self {
            ListenAddress::Any(port) => vec![
                (Ipv6Addr::UNSPECIFIED, port).into(),
                (Ipv4Addr::UNSPECIFIED, port).into(),
            ],
            ListenAddress::Loopback(port) => vec![
                (Ipv6Addr::LOCALHOST, port).into(),
                (Ipv4Addr::LOCALHOST, port).into(),
            ],
            ListenAddress::Exact(address) => vec![address],
        }
    }

    /// Can nothing but programs on this machine reach it?
    pub fn is_loopback(&self) -> bool {
        match self {
            ListenAddress::Any(_) => false,
            ListenAddress::Loopback(_) => true,
            ListenAddress::Exact(address) => address.ip().to_canonical().is_loopback(),
        }
    }

    /// The port; 0 lets the system choose.
    pub fn port(&self) -> u16 {
        match self {
            ListenAddress::Any(port) | ListenAddress::Loopback(port) => *port,
            ListenAddress::Exact(address) => address.port(),
        }
    }
}

/// An address to listen on, and how clients speak there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenEntry {
    /// The address.
    pub address: ListenAddress,
    /// In the clear or over TLS.
    pub scheme: Scheme,
}

impl ListenEntry {
    /// Where clients speak HTTP in the clear.
    pub fn http(address: ListenAddress) -> ListenEntry {
        let scheme = Scheme::Http;
        ListenEntry { address, scheme }
    }

    /// Where clients speak TLS.
    pub fn https(address: ListenAddress) -> ListenEntry {
        let scheme = Scheme::Https;
        ListenEntry { address, scheme }
    }
}

impl ListenAddress {
    /// Where browsers look for the secure side of this address: port 443 for port 80, and 8443 for 8080. Others have none that
    /// anybody would guess.
    pub fn secure_side(&self) -> Option<ListenAddress> {
        let port = match self.port() {
            80 => 443,
            8080 => 8443,
            _ => return None,
        };
        Some(match self {
            ListenAddress::Any(_) => ListenAddress::Any(port),
            ListenAddress::Loopback(_) => ListenAddress::Loopback(port),
            ListenAddress::Exact(address) => {
                ListenAddress::Exact(SocketAddr::new(address.ip(), port))
            }
        })
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<ListenAddress, String> {
        if text.contains("://") {
            return Err("a listener has no scheme: leave out what stands before `://`".into());
        }
        if text.starts_with("unix:") {
            return Err("listening on a unix socket comes in a later version".into());
        }
        if let Ok(address) = text.parse() {
            return Ok(ListenAddress::Exact(address));
        }
        let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
        let port = parse_port(port)?;
        match host {
            "" | "*" => Ok(ListenAddress::Any(port)),
            "localhost" => Ok(ListenAddress::Loopback(port)),
            _ => Err(format!(
                "`{host}` is not an address of this machine that can be listened on"
            )),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Any(port) => write!(f, ":{port}"),
            ListenAddress::Loopback(port) => write!(f, "localhost:{port}"),
            ListenAddress::Exact(address) => address.fmt(f),
        }
    }
}

/// Where an endpoint is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EndpointAddress {
    /// A name or an address (IPv6 without brackets), and a port. `localhost` means both loopback addresses.
    Tcp {
        /// In the clear or over TLS.
        scheme: Scheme,
        /// The host, in lower case.
        host: String,
        /// The port.
        port: u16,
    },
    /// A unix socket.
    Unix(PathBuf),
}

impl EndpointAddress {
    /// How it is spoken to.
    pub fn scheme(&self) -> Scheme {
        match self {
            EndpointAddress::Tcp { scheme, .. } => *scheme,
            EndpointAddress::Unix(_) => Scheme::Http,
        }
    }
}

impl FromStr for EndpointAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<EndpointAddress, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return parse_unix(path);
        }
        let (scheme, rest, default_port) = match text.split_once("://") {
            Some(("http", rest)) => (Scheme::Http, rest, Some(80)),
            Some(("https", rest)) => (Scheme::Https, rest, Some(443)),
            Some((scheme, _)) => return Err(format!("endpoints do not speak `{scheme}`")),
            None => (Scheme::Http, text, None),
        };
        let authority = match default_port {
            Some(_) => rest.strip_suffix('/').unwrap_or(rest),
            None => rest,
        };
        if authority.contains(['/', '?', '#']) {
            return Err(
                "an endpoint has no path: requests keep theirs, and `strip` shortens it".into(),
            );
        }
        let (host, port) = parse_authority(authority, default_port)?;
        Ok(EndpointAddress::Tcp { scheme, host, port })
    }
}

fn parse_unix(path: &str) -> Result<EndpointAddress, String> {
    // sun_path of the kernels that we run on holds 107 (Linux) or 103 (macOS) bytes and a NUL.
    match path {
        _ if path.len() > 103 => Err("the path of a unix socket has at most 103 bytes".into()),
        _ if path.contains('\0') => Err("the path of a unix socket has no NUL".into()),
        _ if path.starts_with('/') => Ok(EndpointAddress::Unix(path.into())),
        _ => Err("the path of a unix socket begins with `/`: unix:/run/app.sock".into()),
    }
}

/// Host and port.
fn parse_authority(text: &str, default_port: Option<u16>) -> Result<(String, u16), String> {
    if text.contains('@') {
        return Err("an endpoint has no user name or password".into());
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return endpoint(address.ip().to_string(), address.port());
    }
    let literal = text.trim_start_matches('[').trim_end_matches(']');
    if let (Ok(IpAddr::V6(address)), Some(port)) = (literal.parse::<IpAddr>(), default_port) {
        return endpoint(address.to_string(), port);
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, parse_port(port)?),
        None if text.bytes().all(|byte| byte.is_ascii_digit()) => ("", parse_port(text)?),
        None => match default_port {
            Some(port) => (text, port),
            None => return Err(format!("`{text}` has no port: write `{text}:80`")),
        },
    };
    let host = if host.is_empty() { "localhost" } else { host };
    if !is_host_name(host) {
        return Err(format!("`{host}` is not a host name"));
    }
    endpoint(host.to_ascii_lowercase(), port)
}

fn endpoint(host: String, port: u16) -> Result<(String, u16), String> {
    match port {
        0 => Err("an endpoint cannot have port 0".into()),
        _ => Ok((host, port)),
    }
}

impl fmt::Display for EndpointAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EndpointAddress::Tcp { scheme, host, port } => {
                if *scheme == Scheme::Https {
                    f.write_str("https://")?;
                }
                match host.contains(':') {
                    true => write!(f, "[{host}]:{port}"),
                    false => write!(f, "{host}:{port}"),
                }
            }
            EndpointAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Is `text` a name in ASCII that DNS and `Host` fields can carry (RFC 1123 §2.1, and `_`, which
/// container networks use)? A trailing dot is not part of it.
pub fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    text.len() <= 253 && text.split('.').all(label)
}

fn parse_port(text: &str) -> Result<u16, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let port = digits.then(|| text.parse().ok()).flatten();
    port.ok_or_else(|| format!("`{text}` is not a port: ports are numbers up to 65535"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_addresses() {
        for (text, shown) in [
            (":8080", ":8080"),
            ("8080", ":8080"),
            ("*:80", ":80"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("[::1]:80", "[::1]:80"),
            ("localhost:1", "localhost:1"),
        ] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), shown);
        }
        for wrong in [
            "",
            ":",
            ":99999",
            "example.com:80",
            "http://:80",
            "unix:/x",
            "::1:80",
            "+80",
        ] {
            assert!(wrong.parse::<ListenAddress>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn endpoint_addresses() {
        for (text, shown) in [
            ("localhost:5665", "localhost:5665"),
            ("LOCALHOST:5665", "localhost:5665"),
            ("5665", "localhost:5665"),
            (":5665", "localhost:5665"),
            ("http://app", "app:80"),
            ("http://app:81/", "app:81"),
            ("http://[::1]", "[::1]:80"),
            ("https://App", "https://app:443"),
            ("https://app:8443/", "https://app:8443"),
            ("https://[::1]", "https://[::1]:443"),
            ("https://:8443", "https://localhost:8443"),
            ("[::1]:9", "[::1]:9"),
            ("my_app:80", "my_app:80"),
            ("unix:/run/app.sock", "unix:/run/app.sock"),
        ] {
            assert_eq!(text.parse::<EndpointAddress>().unwrap().to_string(), shown);
        }
        for wrong in [
            "",
            "app",
            "ftp://app",
            "http://app/x",
            "https://app/x",
            "https://",
            "HTTPS://app",
            "a b:80",
            "app:0",
            "u@app:80",
            "unix:run",
            "::1:80",
            "app:-1",
        ] {
            assert!(wrong.parse::<EndpointAddress>().is_err(), "{wrong}");
        }
    }
}
