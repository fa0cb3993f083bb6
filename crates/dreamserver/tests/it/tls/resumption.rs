//! Tickets: whoever was here before need not prove everything again, unless what it proved no longer counts.

use dream_testkit::{Client, Folder, Origin, Security, Server, Signal, eventually};
use rustls::HandshakeKind;
use rustls::version::{TLS12, TLS13};

use super::{Ground, get, house, site, start, write_config};
use crate::announce::Core;

/// Was this handshake a short one? The answer brings tickets for the next.
#[track_caller]
fn resumed(address: std::net::SocketAddr, security: &Security) -> bool {
    let mut client = Client::secure(address, security);
    let kind = client.agreed().handshake_kind();
    assert_eq!(client.ask(get("/")).status, 200);
    kind == Some(HandshakeKind::Resumed)
}

#[test]
fn a_client_comes_back_to_any_core() {
    let house = house(Origin::echo());
    for version in [&TLS13, &TLS12] {
        let security = Security::versions(&[version], &house.ca, "a.example").resuming();
        assert!(!resumed(house.tls, &security));
        for round in 0..30 {
            assert!(resumed(house.tls, &security), "{version:?}, {round}");
        }
    }
}

/// A server with a folder for its state.
fn with_state(home: &Folder, config: &str) -> Core {
    write_config(home, config);
    Core::start_as(
        home,
        &["run", "--take-over", "--config", "dreamserver.toml"],
    )
}

#[test]
fn tickets_outlive_a_restart_and_a_take_over() {
    let (ground, origin) = (Ground::new(), Origin::echo());
    ground.issue("a", &["a.example"]);
    let config = site("a.example", "a", &origin);
    let clients = [&TLS13, &TLS12]
        .map(|version| Security::versions(&[version], &ground.ca, "a.example").resuming());
    let check = |server: &Server, expected: bool| {
        for client in &clients {
            assert_eq!(resumed(server.secure_address(), client), expected);
        }
    };
    let mut first = with_state(&ground.home, &config);
    check(&first.server, false);
    check(&first.server, true);
    first.server.signal(Signal::TERM);
    assert!(first.server.wait(dream_testkit::DEADLINE).is_some());
    let second = with_state(&ground.home, &config);
    check(&second.server, true);
    // The next takes over from this one.
    let third = with_state(&ground.home, &config);
    assert_eq!(
        third.server.secure_address(),
        second.server.secure_address()
    );
    check(&third.server, true);
    let keys = std::fs::metadata(ground.home.join("state/ticket-keys")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&keys.permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn damaged_keys_cost_whole_handshakes_and_nothing_else() {
    let (ground, origin) = (Ground::new(), Origin::echo());
    ground.issue("a", &["a.example"]);
    let config = site("a.example", "a", &origin);
    let security = Security::new(&ground.ca, "a.example").resuming();
    ground.home.write("state/ticket-keys", "these are no keys");
    let core = with_state(&ground.home, &config);
    core.server.message(|line| line.contains("no ticket keys"));
    assert!(!resumed(core.server.secure_address(), &security));
    assert!(resumed(core.server.secure_address(), &security));
}

#[test]
fn another_policy_for_clients_voids_the_tickets() {
    let (ground, origin) = (Ground::new(), Origin::echo());
    ground.issue("a", &["a.example"]);
    ground.home.write("one.pem", ground.ca.pem());
    let other = dream_testkit::Authority::new("another CA");
    ground
        .home
        .write("two.pem", [ground.ca.pem(), other.pem()].concat());
    let config = |clients: &str| {
        let site = site("a.example", "a", &origin);
        site.replace(" }", &format!("{clients} }}"))
    };
    let server = start(&ground.home, &config(""), &[]);
    let address = server.secure_address();
    for version in [&TLS13, &TLS12] {
        let client = ground.ca.issue_client(&[]);
        let security = Security::versions(&[version], &ground.ca, "a.example")
            .showing(&client)
            .resuming();
        let reload = |clients: &str| {
            let before = server.messages().matches("read again").count();
            write_config(&ground.home, &config(clients));
            server.signal(Signal::HUP);
            eventually("it has read that", || {
                server.messages().matches("read again").count() > before
            });
        };
        for clients in [
            "",
            ", client_ca = \"one.pem\", client_optional = true",
            ", client_ca = \"one.pem\"",
            ", client_ca = \"two.pem\"",
        ] {
            reload(clients);
            eventually("what the client had is void", || {
                !resumed(address, &security)
            });
            eventually("and what it got holds", || resumed(address, &security));
        }
    }
}
