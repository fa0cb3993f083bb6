//! HTTPS towards clients. One file a behaviour.

mod bodies;
mod clients;
mod ends;
mod files;
mod handshake;
mod hostile;
mod life;
mod names;
mod peers;
mod plain;
mod resumption;

use std::net::SocketAddr;

use dream_testkit::{Authority, Client, Folder, Issued, KeyKind, Origin, Security, Server};

use crate::start::binary;

/// A server that speaks TLS, with certificates of a CA of its own.
pub(crate) struct House {
    pub(crate) server: Server,
    pub(crate) tls: SocketAddr,
    pub(crate) ca: Authority,
    pub(crate) home: Folder,
    /// What it stands before, if that is its own.
    origin: Option<Origin>,
}

/// A house before its server starts: certificates go into the folder of the configuration.
pub(crate) struct Ground {
    pub(crate) ca: Authority,
    pub(crate) home: Folder,
}

impl Ground {
    pub(crate) fn new() -> Ground {
        Ground {
            ca: Authority::new("Test CA"),
            home: Folder::new("tls"),
        }
    }

    /// Writes `NAME.pem` and `NAME.key` for these hosts.
    pub(crate) fn issue(&self, name: &str, hosts: &[&str]) -> Issued {
        self.issue_kind(KeyKind::Ecdsa, name, hosts)
    }

    pub(crate) fn issue_kind(&self, kind: KeyKind, name: &str, hosts: &[&str]) -> Issued {
        let issued = self.ca.issue(kind, hosts);
        issued.write(self.home.path(), name);
        issued
    }

    /// Starts with this configuration, listening where the system chooses.
    #[track_caller]
    pub(crate) fn start(self, config: &str) -> House {
        let server = start(&self.home, config, &[]);
        House {
            tls: server.secure_address(),
            server,
            ca: self.ca,
            home: self.home,
            origin: None,
        }
    }
}

/// A server in this folder with this configuration.
#[track_caller]
pub(crate) fn start(home: &Folder, config: &str, more: &[&str]) -> Server {
    write_config(home, config);
    let arguments = ["--config", "dreamserver.toml", "--listen", "127.0.0.1:0"];
    Server::start_in(&binary(), home.path(), &[&arguments, more].concat())
}

pub(crate) fn write_config(home: &Folder, config: &str) {
    let listen = "[listen]\ntls = \"127.0.0.1:0\"\n";
    home.write("dreamserver.toml", format!("{listen}{config}"));
}

/// A site before `origin`, with the pair `NAME.pem` and `NAME.key`.
pub(crate) fn site(hosts: &str, name: &str, origin: &Origin) -> String {
    format!(
        "[sites.\"{hosts}\"]\nproxy = \"{}\"\ntls = {{ cert = \"{name}.pem\", key = \"{name}.key\" }}\n",
        origin.url()
    )
}

/// `a.example` before `origin`, and tables before that.
#[track_caller]
pub(crate) fn house_with(origin: Origin, tables: &str) -> House {
    let ground = Ground::new();
    ground.issue("a", &["a.example"]);
    let config = format!("{tables}{}", site("a.example", "a", &origin));
    House {
        origin: Some(origin),
        ..ground.start(&config)
    }
}

/// `a.example` before `origin`.
#[track_caller]
pub(crate) fn house(origin: Origin) -> House {
    house_with(origin, "")
}

impl House {
    /// What a client of `a.example` goes by.
    pub(crate) fn security(&self) -> Security {
        Security::new(&self.ca, "a.example")
    }

    /// A client of `a.example` after its handshake.
    #[track_caller]
    pub(crate) fn client(&self) -> Client {
        Client::secure(self.tls, &self.security())
    }

    /// What it stands before.
    #[track_caller]
    pub(crate) fn origin(&self) -> &Origin {
        self.origin.as_ref().expect("an endpoint of its own")
    }

    /// Is `a.example` still served to others?
    #[track_caller]
    pub(crate) fn serves(&self) {
        let answer = self.client().ask(get("/alive"));
        assert_eq!(answer.status, 200);
    }
}

/// A `GET` of `a.example`.
pub(crate) fn get(path: &str) -> String {
    get_of("a.example", path)
}

pub(crate) fn get_of(host: &str, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

/// What a client sends first.
pub(crate) fn hello(security: &Security) -> Vec<u8> {
    let mut bytes = Vec::new();
    security.begin().write_tls(&mut bytes).unwrap();
    bytes
}
