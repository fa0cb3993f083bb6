//! Clients that no one here wrote: OpenSSL's, curl's, Python's.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use dream_testkit::{KeyKind, Origin, eventually, respond};

use super::{Ground, House, get, house, site};

/// `openssl s_client` as `a.example`, which is typed to.
struct Typed {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Typed {
    fn start(house: &House, arguments: &[&str]) -> Typed {
        let ca = house.home.write("ca.pem", house.ca.pem());
        let mut child = Command::new("openssl")
            .args(["s_client", "-connect", &house.tls.to_string()])
            .args(["-servername", "a.example", "-CAfile"])
            .arg(ca)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("openssl runs");
        let said = Arc::new(Mutex::new(String::new()));
        let outputs: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stdout.take().unwrap()),
            Box::new(child.stderr.take().unwrap()),
        ];
        for mut output in outputs {
            let said = said.clone();
            thread::spawn(move || {
                let mut block = [0; 4096];
                while let Ok(count @ 1..) = output.read(&mut block) {
                    let text = String::from_utf8_lossy(&block[..count]);
                    said.lock().unwrap().push_str(&text);
                }
            });
        }
        Typed { child, said }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    #[track_caller]
    fn waits_for(&self, text: &str) {
        eventually(text, || self.said().contains(text));
    }

    fn types(&mut self, text: &str) {
        let input = self.child.stdin.as_mut().unwrap();
        input.write_all(text.as_bytes()).unwrap();
        input.flush().unwrap();
    }
}

impl Drop for Typed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ok() -> Origin {
    Origin::answering(respond(200, "text/plain", b"it works"))
}

#[test]
fn openssl_renews_keys_in_the_middle() {
    let house = house(ok());
    let mut client = Typed::start(&house, &["-tls1_3"]);
    client.waits_for("Verification: OK");
    for (number, key) in ["K\n", "k\n", "K\n"].into_iter().enumerate() {
        client.types(key);
        eventually("the keys are new", || {
            client.said().matches("KEYUPDATE").count() == number + 1
        });
        client.types(&get("/").replace("\r\n", "\n").replace('\n', "\r\n"));
        eventually("the answer", || {
            client.said().matches("it works").count() == number + 1
        });
    }
}

#[test]
fn openssl_may_not_renegotiate() {
    let house = house(ok());
    let mut client = Typed::start(&house, &["-tls1_2"]);
    client.waits_for("Verification: OK");
    client.types("R\n");
    client.waits_for("RENEGOTIATING");
    client.waits_for("no renegotiation");
    house.serves();
}

#[test]
fn openssl_sees_a_clean_end() {
    let house = house(Origin::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ));
    for version in ["-tls1_3", "-tls1_2"] {
        let mut client = Typed::start(&house, &[version, "-quiet", "-no_ign_eof"]);
        client.types("GET / HTTP/1.0\r\nHost: a.example\r\n\r\n");
        eventually("it ends", || matches!(client.child.try_wait(), Ok(Some(_))));
        let status = client.child.wait().unwrap();
        client.waits_for("hello");
        let said = client.said();
        assert!(status.success(), "{version}: {said}");
        assert!(!said.contains("unexpected eof"), "{version}: {said}");
    }
}

#[test]
fn who_knows_only_rsa_gets_that() {
    let (ground, origin) = (Ground::new(), ok());
    ground.issue_kind(KeyKind::Rsa, "rsa", &["a.example"]);
    ground.issue_kind(KeyKind::Ecdsa, "ecdsa", &["a.example"]);
    let pairs = "cert = [\"rsa.pem\", \"ecdsa.pem\"], key = [\"rsa.key\", \"ecdsa.key\"]";
    let one = "cert = \"a.pem\", key = \"a.key\"";
    let house = ground.start(&site("a.example", "a", &origin).replace(one, pairs));
    // The CA's own signature is of ECDSA, so its client must know that too, in certificates.
    let only_rsa = ["-sigalgs", "RSA-PSS+SHA256:RSA+SHA256"];
    for (arguments, kind) in [
        (&["-tls1_3"][..], "Peer signature type: ECDSA"),
        (&["-tls1_2"], "Peer signature type: ECDSA"),
        (
            &[&["-tls1_3"][..], &only_rsa].concat(),
            "Peer signature type: RSA",
        ),
        (
            &[&["-tls1_2"][..], &only_rsa].concat(),
            "Peer signature type: RSA",
        ),
        (
            &["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"],
            "Peer signature type: RSA",
        ),
    ] {
        let client = Typed::start(&house, arguments);
        client.waits_for(kind);
    }
}

#[test]
fn openssl_of_old_is_refused() {
    let house = house(ok());
    for version in ["-tls1", "-tls1_1"] {
        let arguments = [version, "-cipher", "DEFAULT:@SECLEVEL=0"];
        Typed::start(&house, &arguments).waits_for("alert handshake failure");
    }
    house.serves();
}

#[test]
fn curl_sends_and_fetches() {
    let house = house(Origin::echo());
    let ca = house.home.write("ca.pem", house.ca.pem());
    let ca = ca.to_str().unwrap();
    let (port, address) = (
        house.tls.port(),
        format!("a.example:{}:127.0.0.1", house.tls.port()),
    );
    let url = format!("https://a.example:{port}/");
    for version in [&["--tlsv1.3"][..], &["--tls-max", "1.2"]] {
        let body = "x".repeat(300_000);
        let file = house.home.write("body", &body);
        let output = Command::new("curl")
            .args([
                "-sS",
                "--noproxy",
                "*",
                "--max-time",
                "20",
                "--cacert",
                ca,
                "--resolve",
                &address,
            ])
            .args(version)
            .arg("--data-binary")
            .arg(format!("@{}", file.display()))
            .args([
                &url,
                "--next",
                "-sS",
                "--cacert",
                ca,
                "--resolve",
                &address,
                &url,
            ])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains(&body) && text.contains("GET / HTTP/1.1"));
    }
}

#[test]
fn python_is_told_the_end() {
    let house = house(Origin::echo());
    let ca = house.home.write("ca.pem", house.ca.pem());
    let (ca, port) = (ca.to_str().unwrap(), house.tls.port());
    let script = "
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
with socket.create_connection(('127.0.0.1', int(sys.argv[2]))) as plain:
    with context.wrap_socket(plain, server_hostname='a.example') as secure:
        secure.sendall(b'GET / HTTP/1.0\\r\\nHost: a.example\\r\\n\\r\\n')
        data = b''
        # Raises where the end is not said.
        while block := secure.recv(65536):
            data += block
        print(data.decode())
";
    let output = Command::new("python3")
        .args(["-c", script, ca, &port.to_string()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("HTTP/1.1 200"));
}
