//! The kernel's tables of sockets, in text (proc(5), `/proc/net/tcp`).

use super::{LOCALHOST, Listener, Protocol, Sender, User};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

pub(super) fn listener(port: u16) -> io::Result<Listener> {
    let tables = read(Protocol::Tcp)?;
    let users = tables.iter().flat_map(|table| rows(table)).filter(|row| {
        // Whether `::` stands for IPv4 too is not told; it is taken to, so that nobody is passed over.
        row.state == LISTEN
            && row.local.port() == port
            && LOCALHOST.iter().any(|host| row.takes(*host))
    });
    Ok(users.filter_map(|row| row.user()).collect())
}

pub(super) fn sender(sender: &Sender) -> io::Result<Option<User>> {
    let tables = read(sender.protocol)?;
    let users = tables.iter().flat_map(|table| rows(table)).filter(|row| {
        let (local, remote) = (row.local, row.remote);
        let is_local = local.port() == sender.address.port() && row.takes(sender.address.ip());
        let is_remote = remote.port() == sender.ours.port() && remote.ip() == sender.ours.ip();
        let may_be_none = sender.protocol == Protocol::Udp && remote.port() == 0;
        is_local && (is_remote || may_be_none)
    });
    let all: Listener = users.filter_map(|row| row.user()).collect();
    Ok(match all {
        Listener::User(user) => Some(user),
        Listener::Nobody | Listener::Several => None,
    })
}

pub(super) fn listening_inode(port: u16) -> Option<u64> {
    let tables = read(Protocol::Tcp).ok()?;
    let mut rows = tables.iter().flat_map(|table| rows(table));
    rows.find(|row| row.state == LISTEN && row.local.port() == port)
        .map(|row| row.inode)
}

pub(super) fn dropped(addresses: &[SocketAddr]) -> io::Result<u64> {
    let tables = read(Protocol::Udp)?;
    let lines = tables.iter().flat_map(|table| table.lines().skip(1));
    let ours = lines.filter(|line| row(line).is_some_and(|row| addresses.contains(&row.local)));
    Ok(ours.filter_map(drops).sum())
}

/// Both families. A kernel without IPv6 has one table less.
fn read(protocol: Protocol) -> io::Result<[String; 2]> {
    let (four, six) = match protocol {
        Protocol::Tcp => ("/proc/net/tcp", "/proc/net/tcp6"),
        Protocol::Udp => ("/proc/net/udp", "/proc/net/udp6"),
    };
    let six = match fs::read_to_string(six) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read,
    };
    Ok([fs::read_to_string(four)?, six?])
}

/// A socket that listens.
const LISTEN: u8 = 0x0A;

/// A socket. Addresses of IPv4 are that, whatever the socket's family.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    local: SocketAddr,
    remote: SocketAddr,
    state: u8,
    user: User,
    inode: u64,
}

impl Row {
    /// One that nobody has open any more has no file, and belongs to nobody, whatever number stands there.
    fn user(&self) -> Option<User> {
        (self.inode != 0).then_some(self.user)
    }

    /// Does what is sent to this address come to this socket?
    fn takes(&self, host: IpAddr) -> bool {
        match self.local.ip() {
            IpAddr::V4(local) if local.is_unspecified() => host.is_ipv4(),
            IpAddr::V6(local) if local.is_unspecified() => true,
            local => local == host,
        }
    }
}

/// The rows of a table, below its head.
fn rows(table: &str) -> impl Iterator<Item = Row> {
    table.lines().skip(1).filter_map(row)
}

fn row(line: &str) -> Option<Row> {
    let mut columns = line.split_ascii_whitespace().skip(1);
    Some(Row {
        local: address(columns.next()?)?,
        remote: address(columns.next()?)?,
        state: u8::from_str_radix(columns.next()?, 16).ok()?,
        // Behind queues, timer and retransmits, and before its time-outs.
        user: columns.nth(3)?.parse().ok()?,
        inode: columns.nth(1)?.parse().ok()?,
    })
}

/// The last column, which only datagram sockets have.
fn drops(line: &str) -> Option<u64> {
    line.split_ascii_whitespace().next_back()?.parse().ok()
}

/// `0100007F:1F90` is 127.0.0.1:8080 on most machines: words of four bytes, each written as a number of that machine.
fn address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let digits = host.get(8 * at..8 * at + 8)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    let host = match host.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(host, port))
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read() {
        let line = "   0: 0100007F:1F90 0000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1562 1 0";
        assert_eq!(row(line), None, "an address of another length");
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1562 1 0";
        let expected = Row {
            local: "127.0.0.1:8080".parse().unwrap(),
            remote: "0.0.0.0:0".parse().unwrap(),
            state: LISTEN,
            user: 1000,
            inode: 1562,
        };
        assert_eq!(row(line), Some(expected));
        for line in [
            "",
            "0:",
            "0: x y",
            "0: 0100007F:1F90 00000000:0000 0A a b c -1 0 1",
        ] {
            assert_eq!(row(line), None, "{line}");
        }
    }

    #[test]
    fn addresses_of_both_families() {
        for (text, expected) in [
            ("0100007F:0050", "127.0.0.1:80"),
            ("00000000000000000000000001000000:0050", "[::1]:80"),
            ("0000000000000000FFFF00000100007F:0050", "127.0.0.1:80"),
            ("00000000000000000000000000000000:0000", "[::]:0"),
        ] {
            assert_eq!(address(text), Some(expected.parse().unwrap()), "{text}");
        }
    }
}
