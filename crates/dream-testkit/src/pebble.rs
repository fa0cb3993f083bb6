//! Pebble, the ACME server that its makers test clients with, and the DNS server that comes with it.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::client::Client;
use crate::folder::Folder;
use crate::server::free_port;
use crate::wait::eventually;

/// A DNS server in which every name leads to 127.0.0.1, until it is told otherwise.
#[derive(Debug)]
pub struct Dns {
    process: Process,
    port: u16,
    management: u16,
}

impl Dns {
    /// Starts `pebble-challtestsrv`.
    #[track_caller]
    pub fn start() -> Dns {
        let (port, management) = (free_port(), free_port());
        let process = Process::start(
            Command::new("pebble-challtestsrv")
                .args(["-http01", "", "-https01", "", "-tlsalpn01", ""])
                .args(["-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""])
                .args(["-dns01", &format!("127.0.0.1:{port}")])
                .args(["-management", &format!("127.0.0.1:{management}")]),
        );
        until_open(management);
        until_open(port);
        Dns {
            process,
            port,
            management,
        }
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.process.0.id()
    }

    /// Has `name` lead to this address from now on.
    #[track_caller]
    pub fn point(&self, name: &str, address: &str) {
        self.tell("clear-a", &format!(r#"{{"host": "{name}."}}"#));
        self.tell(
            "add-a",
            &format!(r#"{{"host": "{name}.", "addresses": ["{address}"]}}"#),
        );
    }

    /// Has questions for `name` fail from now on.
    #[track_caller]
    pub fn fail(&self, name: &str) {
        self.tell("set-servfail", &format!(r#"{{"host": "{name}."}}"#));
    }

    #[track_caller]
    fn tell(&self, what: &str, json: &str) {
        let mut client = Client::connect((Ipv4Addr::LOCALHOST, self.management));
        let answer = client.ask(format!(
            "POST /{what} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{json}",
            json.len()
        ));
        assert_eq!(answer.status, 200, "{what} {json}");
    }
}

/// An ACME server; killed when dropped. It forgets everything then.
#[derive(Debug)]
pub struct Pebble {
    process: Process,
    port: u16,
    management: u16,
    folder: Folder,
}

impl Pebble {
    /// Starts `pebble`, which finds names by `dns` and looks at these ports of theirs. `settings` are its environment.
    #[track_caller]
    pub fn start(dns: &Dns, http: u16, tls: u16, settings: &[(&str, &str)]) -> Pebble {
        Pebble::with(dns, http, tls, settings, "")
    }

    /// The same with more in its configuration: members of a JSON object, each with a comma before it.
    #[track_caller]
    pub fn with(dns: &Dns, http: u16, tls: u16, settings: &[(&str, &str)], more: &str) -> Pebble {
        let folder = Folder::new("pebble");
        let (port, management) = (free_port(), free_port());
        write_credential(&folder);
        folder.write(
            "config.json",
            format!(
                r#"{{"pebble": {{"listenAddress": "127.0.0.1:{port}", "managementListenAddress": "127.0.0.1:{management}",
                "certificate": "{0}/server.pem", "privateKey": "{0}/server.key", "httpPort": {http}, "tlsPort": {tls}{more}}}}}"#,
                folder.text()
            ),
        );
        Pebble::at(folder, dns, port, management, settings)
    }

    /// Ends it and starts another one in its place, which knows nothing of what the first did.
    #[track_caller]
    pub fn start_again(before: Pebble, dns: &Dns) -> Pebble {
        let Pebble {
            process,
            port,
            management,
            folder,
        } = before;
        drop(process);
        Pebble::at(folder, dns, port, management, &[])
    }

    #[track_caller]
    fn at(
        folder: Folder,
        dns: &Dns,
        port: u16,
        management: u16,
        settings: &[(&str, &str)],
    ) -> Pebble {
        let log = File::create(folder.join(LOG)).expect("a writable folder");
        let process = Process::logging(
            log,
            Command::new("pebble")
                .arg("-config")
                .arg(folder.join("config.json"))
                .args(["-dnsserver", &dns.address().to_string()])
                .env("PEBBLE_VA_NOSLEEP", "1")
                .envs(settings.iter().copied())
                .current_dir(folder.path()),
        );
        until_open(port);
        until_open(management);
        Pebble {
            process,
            port,
            management,
            folder,
        }
    }

    /// The URL of its directory.
    pub fn directory(&self) -> String {
        format!("https://127.0.0.1:{}/dir", self.port)
    }

    /// What its own HTTPS is to be trusted by.
    pub fn root(&self) -> PathBuf {
        self.folder.join("root.pem")
    }

    /// How many orders it was asked for.
    pub fn orders(&self) -> usize {
        let log = fs::read_to_string(self.folder.join(LOG)).expect("it writes what it does");
        log.matches("POST /order-plz").count()
    }

    /// The root of the certificates that it gives, as PEM.
    #[track_caller]
    pub fn issuer(&self) -> String {
        let url = format!("https://127.0.0.1:{}/roots/0", self.management);
        let fetched = Command::new("curl")
            .args(["-sS", "--max-time", "20", "--noproxy", "*", "--cacert"])
            .arg(self.root())
            .arg(url)
            .output()
            .expect("curl runs");
        assert!(
            fetched.status.success(),
            "{}",
            String::from_utf8_lossy(&fetched.stderr)
        );
        String::from_utf8(fetched.stdout).expect("PEM is text")
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.process.0.id()
    }
}

/// Where it writes what it does.
const LOG: &str = "pebble.log";

/// A process that ends with the test.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Process {
    #[track_caller]
    pub(crate) fn start(command: &mut Command) -> Process {
        Process::logging(Stdio::null(), command)
    }

    /// What it says goes to `out`.
    #[track_caller]
    pub(crate) fn logging(out: impl Into<Stdio>, command: &mut Command) -> Process {
        let quiet = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(Stdio::null());
        let child = quiet.spawn();
        Process(child.unwrap_or_else(|error| panic!("{command:?} does not start: {error}")))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[track_caller]
pub(crate) fn until_open(port: u16) {
    eventually("a helper of the test listens", || {
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
    });
}

/// A certificate for 127.0.0.1 and what it is to be trusted by.
pub(crate) fn write_credential(folder: &Folder) {
    let root_key = KeyPair::generate().expect("a key can be made");
    let mut root = CertificateParams::default();
    // Issuer and leaf must not have one name.
    root.distinguished_name
        .push(DnType::CommonName, "root of a test");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = root
        .self_signed(&root_key)
        .expect("a certificate can be made")
        .pem();
    folder.write("root.pem", pem);
    let key = KeyPair::generate().expect("a key can be made");
    let leaf = CertificateParams::new(["127.0.0.1".to_owned()]).expect("an address");
    let signed = leaf.signed_by(&key, &Issuer::new(root, root_key));
    fs::write(
        folder.join("server.pem"),
        signed.expect("a certificate can be made").pem(),
    )
    .expect("a writable folder");
    fs::write(folder.join("server.key"), key.serialize_pem()).expect("a writable folder");
}
