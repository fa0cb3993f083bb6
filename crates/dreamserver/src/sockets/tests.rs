//! Both ways to ask, with sockets of our own: they must tell the same.

use super::*;
use socket2::{Domain, Socket, Type};
use std::net::TcpStream;

fn both() -> [Sockets; 2] {
    let diag = diag::Diag::open().expect("the kernel may be asked");
    [Sockets(Source::Diag(diag)), Sockets(Source::Tables)]
}

fn us() -> User {
    geteuid().as_raw()
}

/// A listener, and its port.
fn listen(address: &str, only_v6: bool) -> (TcpListener, u16) {
    let address: SocketAddr = address.parse().unwrap();
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    if address.is_ipv6() {
        socket.set_only_v6(only_v6).unwrap();
    }
    socket.bind(&address.into()).unwrap();
    socket.listen(1).unwrap();
    let listener = TcpListener::from(socket);
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[test]
fn listeners_are_seen_wherever_localhost_reaches_them() {
    for sockets in both() {
        for (address, only_v6, seen) in [
            ("127.0.0.1:0", false, true),
            ("0.0.0.0:0", false, true),
            ("[::1]:0", false, true),
            ("[::]:0", true, true),
            ("[::]:0", false, true),
            ("[::ffff:127.0.0.1]:0", false, true),
            ("127.0.0.2:0", false, false),
        ] {
            let (listener, port) = listen(address, only_v6);
            let expected = match seen {
                true => Listener::User(us()),
                false => Listener::Nobody,
            };
            assert_eq!(sockets.listener(port).unwrap(), expected, "{address}");
            drop(listener);
            assert_eq!(
                sockets.listener(port).unwrap(),
                Listener::Nobody,
                "{address}"
            );
        }
    }
}

#[test]
fn senders_by_udp_are_known_while_their_socket_is_open() {
    for sockets in both() {
        for (bound, to, connected) in [
            ("127.0.0.1:0", "127.0.0.1:0", false),
            ("127.0.0.1:0", "127.0.0.1:0", true),
            ("0.0.0.0:0", "127.0.0.1:0", false),
            ("[::]:0", "127.0.0.1:0", false),
            ("[::]:0", "127.0.0.1:0", true),
            ("[::1]:0", "[::1]:0", false),
            ("[::1]:0", "[::1]:0", true),
        ] {
            let ours = UdpSocket::bind(to).unwrap();
            let to = ours.local_addr().unwrap();
            let socket = UdpSocket::bind(bound).unwrap();
            // By a socket of IPv6, addresses of IPv4 are reached in their mapped form.
            let reached = match (bound.starts_with('['), to.ip()) {
                (true, IpAddr::V4(host)) => {
                    SocketAddr::new(host.to_ipv6_mapped().into(), to.port())
                }
                _ => to,
            };
            if connected {
                socket.connect(reached).unwrap();
                socket.send(b"x").unwrap();
            } else {
                socket.send_to(b"x", reached).unwrap();
            }
            let (_, address) = ours.recv_from(&mut [0; 9]).unwrap();
            let sender = Sender {
                protocol: Protocol::Udp,
                address,
                ours: to,
            };
            let what = format!("{bound} {to} {connected}");
            assert_eq!(sockets.sender(&sender).unwrap(), Some(us()), "{what}");
            drop(socket);
            assert_eq!(sockets.sender(&sender).unwrap(), None, "{what}");
        }
    }
}

#[test]
fn a_socket_that_speaks_to_another_is_not_the_sender() {
    for sockets in both() {
        let ours = UdpSocket::bind("127.0.0.1:0").unwrap();
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        other.connect("127.0.0.1:9").unwrap();
        let sender = Sender {
            protocol: Protocol::Udp,
            address: other.local_addr().unwrap(),
            ours: ours.local_addr().unwrap(),
        };
        assert_eq!(sockets.sender(&sender).unwrap(), None);
    }
}

#[test]
fn senders_by_tcp_are_known_while_their_connection_is_open() {
    for sockets in both() {
        for bound in ["127.0.0.1:0", "[::1]:0"] {
            let ours = TcpListener::bind(bound).unwrap();
            let stream = TcpStream::connect(ours.local_addr().unwrap()).unwrap();
            let (accepted, address) = ours.accept().unwrap();
            let sender = Sender {
                protocol: Protocol::Tcp,
                address,
                ours: ours.local_addr().unwrap(),
            };
            assert_eq!(sockets.sender(&sender).unwrap(), Some(us()));
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            assert_eq!(sockets.sender(&sender).unwrap(), Some(us()), "half closed");
            // What is left of it belongs to nobody, and not to root.
            drop(stream);
            assert_eq!(sockets.sender(&sender).unwrap(), None);
            drop(accepted);
        }
    }
}

#[test]
fn a_listener_at_a_senders_address_is_not_the_sender() {
    for sockets in both() {
        let ours = TcpListener::bind("127.0.0.1:0").unwrap();
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let sender = Sender {
            protocol: Protocol::Tcp,
            address: other.local_addr().unwrap(),
            ours: ours.local_addr().unwrap(),
        };
        assert_eq!(sockets.sender(&sender).unwrap(), None);
    }
}

#[test]
fn different_users_are_told_apart() {
    let users: Listener = [7, 7].into_iter().collect();
    assert_eq!(users, Listener::User(7));
    let users: Listener = [7, 8, 7].into_iter().collect();
    assert_eq!(users, Listener::Several);
}

#[test]
fn datagrams_without_room_are_counted() {
    const SENT: u64 = 1000;
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let ours = UdpSocket::bind(address).unwrap();
        socket2::SockRef::from(&ours)
            .set_recv_buffer_size(4096)
            .unwrap();
        let to = ours.local_addr().unwrap();
        assert_eq!(dropped(&[to]).unwrap(), 0, "{address}");
        let sender = UdpSocket::bind(address).unwrap();
        for _ in 0..SENT {
            sender.send_to(b"x", to).unwrap();
        }
        ours.set_nonblocking(true).unwrap();
        let mut kept = 0;
        while ours.recv_from(&mut [0; 9]).is_ok() {
            kept += 1;
        }
        assert_eq!(kept + dropped(&[to]).unwrap(), SENT, "{address}");
    }
}
