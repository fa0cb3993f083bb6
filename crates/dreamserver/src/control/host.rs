//! Other machines that a name may reach: `host=10.0.0.5`.

use std::net::{IpAddr, UdpSocket};

/// The address, if it is that of one machine and not of none, all or many.
pub(super) fn of_one_machine(host: IpAddr) -> Option<IpAddr> {
    let host = host.to_canonical();
    let is_broadcast = matches!(host, IpAddr::V4(host) if host.is_broadcast());
    let is_one = !host.is_unspecified() && !host.is_multicast() && !is_broadcast;
    is_one.then_some(host)
}

/// Is this an address of our own machine?
pub(super) fn is_ours(host: IpAddr) -> bool {
    // A socket can have no other.
    host.is_loopback() || UdpSocket::bind((host, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_machine_and_not_many() {
        for (written, meant) in [
            ("10.0.0.5", Some("10.0.0.5")),
            ("::ffff:10.0.0.5", Some("10.0.0.5")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("127.0.0.1", Some("127.0.0.1")),
            ("0.0.0.0", None),
            ("::", None),
            ("::ffff:0.0.0.0", None),
            ("255.255.255.255", None),
            ("224.0.0.1", None),
            ("::ffff:239.1.2.3", None),
            ("ff02::1", None),
        ] {
            let host = of_one_machine(written.parse().unwrap());
            let meant: Option<IpAddr> = meant.map(|meant| meant.parse().unwrap());
            assert_eq!(host, meant, "{written}");
        }
    }

    #[test]
    fn our_own_machine() {
        for (host, ours) in [("127.0.0.9", true), ("::1", true), ("192.0.2.1", false)] {
            assert_eq!(is_ours(host.parse().unwrap()), ours, "{host}");
        }
    }
}
