//! The client and a real socket.
#![allow(
    clippy::unwrap_used,
    reason = "tests: a failed unwrap is a failed test"
)]

use dream_control::{Add, Client, Command, Domain, Error, Reply};
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::thread::{self, JoinHandle};

fn socket() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// Answers one command as a server does, and returns it.
fn answer(socket: UdpSocket, reply: Reply) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut buffer = [0; 2000];
        let (len, from) = socket.recv_from(&mut buffer).unwrap();
        socket.send_to(reply.to_string().as_bytes(), from).unwrap();
        String::from_utf8(buffer[..len].to_vec()).unwrap()
    })
}

#[test]
fn an_announcement_arrives_as_text() {
    let (socket, address) = socket();
    let server = answer(socket, Reply::ok("add example.com 5665 waiting"));
    Client::new(address).announce("Example.com.", 5665).unwrap();
    assert_eq!(server.join().unwrap(), "add example.com 5665");
}

#[test]
fn a_command_with_options_and_a_reply_of_many_lines() {
    let (socket, address) = socket();
    let lines: Vec<String> = (0..3000).map(|n| format!("a{n}.example {n}")).collect();
    let server = answer(socket, Reply::ok("list 3000").with_lines(&lines));
    let mut add = Add::new(Domain::parse("*.example.com").unwrap(), 80);
    add.pid = Some(7);
    let reply = Client::new(address).send(&Command::Add(add)).unwrap();
    assert_eq!(reply.words(), Ok("list 3000"));
    assert!(reply.body().lines().eq(&lines));
    assert_eq!(server.join().unwrap(), "add *.example.com 80 pid=7");
}

#[test]
fn over_ipv6() {
    let Ok(socket) = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)) else {
        println!("LEFT OUT: this machine has no IPv6");
        return;
    };
    let address = socket.local_addr().unwrap();
    let server = answer(socket, Reply::ok("ping"));
    let reply = Client::new(address).send(&Command::Ping).unwrap();
    assert_eq!(reply, Reply::ok("ping"));
    assert_eq!(server.join().unwrap(), "ping");
}

#[test]
fn a_refusal_is_an_error_of_an_announcement() {
    let refusal = || Reply::err("bad-port", "70000 is not 1–65535");
    let (first, address) = socket();
    answer(first, refusal());
    let error = Client::new(address).announce("a.example", 80).unwrap_err();
    assert!(matches!(&error, Error::Refused(refusal) if refusal.code() == "bad-port"));
    let text = "the server refused: bad-port: 70000 is not 1–65535";
    assert_eq!(error.to_string(), text);

    let (second, address) = socket();
    answer(second, refusal());
    let reply = Client::new(address).send(&Command::Ping).unwrap();
    assert_eq!(reply, refusal());
}

#[test]
fn nobody_there_is_noticed_and_says_what_to_do() {
    // The socket keeps the port, but hears itself only.
    let (socket, address) = socket();
    socket.connect(address).unwrap();
    let error = Client::new(address).announce("a.example", 80).unwrap_err();
    assert!(matches!(error, Error::NobodyThere(at) if at == address));
    let text = format!("nobody listens on UDP {address}: start the server with `dreamserver core`");
    assert_eq!(error.to_string(), text);
}

#[test]
fn silence_ends() {
    let (_socket, address) = socket();
    let error = Client::new(address).send(&Command::Ping).unwrap_err();
    assert!(matches!(error, Error::NoAnswer(at) if at == address));
    let text = format!(
        "no answer from UDP {address} within 2s: the server hangs, or another program listens there"
    );
    assert_eq!(error.to_string(), text);
}

#[test]
fn a_bad_name_is_not_sent() {
    let (socket, address) = socket();
    let error = Client::new(address).announce("a_b", 80).unwrap_err();
    let text = "bad-domain: a_b: “_” may not stand in a name";
    assert_eq!(error.to_string(), text);
    let error = Client::new(address).announce("a", 0).unwrap_err();
    assert_eq!(error.to_string(), "bad-port: 0 is not 1–65535");
    socket.set_nonblocking(true).unwrap();
    assert!(socket.recv(&mut [0; 10]).is_err(), "nothing arrived");
}
