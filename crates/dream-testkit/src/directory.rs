//! An ACME server of a hundred lines, for what Pebble lacks: it tells when to renew (RFC 9773), knows profiles, and refuses when it
//! is told to. It believes everybody: names are not looked at, and signatures neither.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, IsCa, Issuer,
    KeyPair, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::folder::Folder;
use crate::pebble::write_credential;

/// The server. Its certificates are valid from the first of January 2033 to the first of April.
#[derive(Debug)]
pub struct Directory {
    address: SocketAddr,
    folder: Folder,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// What was ordered, as it was written.
    orders: Vec<Value>,
    certificates: Vec<String>,
    /// The window that it suggests.
    window: Option<(String, String)>,
    /// Orders are refused; the seconds are those of Retry-After.
    refuses: Option<u64>,
}

/// What is sent back.
struct Answer {
    status: &'static str,
    fields: String,
    body: String,
}

impl Directory {
    /// Starts it.
    #[track_caller]
    pub fn start() -> Directory {
        let folder = Folder::new("directory");
        write_credential(&folder);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
        let address = listener.local_addr().expect("a bound socket");
        let state = Arc::<Mutex<State>>::default();
        let (tls, served) = (Arc::new(tls(&folder)), state.clone());
        // Ends with the process of the test.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (tls, state) = (tls.clone(), served.clone());
                thread::spawn(move || serve(tls, stream, address, &state));
            }
        });
        Directory {
            address,
            folder,
            state,
        }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("https://{}/directory", self.address)
    }

    /// What its HTTPS is to be trusted by.
    pub fn root(&self) -> PathBuf {
        self.folder.join("root.pem")
    }

    /// What was ordered so far.
    pub fn orders(&self) -> Vec<Value> {
        lock(&self.state).orders.clone()
    }

    /// Suggests to renew all certificates between these times (RFC 3339).
    pub fn suggest(&self, start: &str, end: &str) {
        lock(&self.state).window = Some((start.to_owned(), end.to_owned()));
    }

    /// Refuses orders from now on, and says when to come again; nothing lets them in again.
    pub fn refuse(&self, retry_after: Option<u64>) {
        lock(&self.state).refuses = retry_after;
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no panic holds the lock")
}

fn tls(folder: &Folder) -> ServerConfig {
    let chain = CertificateDer::pem_file_iter(folder.join("server.pem")).expect("a file");
    let chain = chain.collect::<Result<_, _>>().expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).expect("a key");
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key);
    config.expect("a certificate and its key")
}

/// One question a connection.
fn serve(tls: Arc<ServerConfig>, stream: TcpStream, address: SocketAddr, state: &Mutex<State>) {
    let connection = ServerConnection::new(tls).expect("a configuration that fits");
    let mut reader = BufReader::new(StreamOwned::new(connection, stream));
    let (mut line, mut length) = (String::new(), 0);
    if reader.read_line(&mut line).is_err() {
        return;
    }
    loop {
        let mut field = String::new();
        if reader.read_line(&mut field).is_err() || field.trim().is_empty() {
            break;
        }
        let field = field.to_ascii_lowercase();
        length = field
            .strip_prefix("content-length:")
            .map_or(length, |value| value.trim().parse().unwrap_or(0));
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let path = line.split(' ').nth(1).unwrap_or_default();
    let base = format!("https://{address}");
    let Answer {
        status,
        fields,
        body,
    } = answer(path, &base, &payload(&body), &mut lock(state));
    let head = format!(
        "HTTP/1.1 {status}\r\nReplay-Nonce: nonce\r\nConnection: close\r\nContent-Length: {}\r\n{fields}\r\n",
        body.len()
    );
    let mut stream = reader.into_inner();
    let body = if line.starts_with("HEAD") {
        String::new()
    } else {
        body
    };
    let _ = stream.write_all((head + &body).as_bytes());
    stream.conn.send_close_notify();
    let _ = stream.flush();
}

/// What a signed question says (RFC 7515), unsigned ones say nothing.
fn payload(body: &[u8]) -> Value {
    let signed: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = signed["payload"].as_str().unwrap_or_default();
    let decoded = URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
    serde_json::from_slice(&decoded).unwrap_or_default()
}

fn answer(path: &str, base: &str, said: &Value, state: &mut State) -> Answer {
    let (what, rest) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
    let number = rest.parse::<usize>().unwrap_or_default();
    match what {
        "directory" => ok(&json!({
            "newNonce": format!("{base}/nonce"), "newAccount": format!("{base}/account"), "newOrder": format!("{base}/order"),
            "renewalInfo": format!("{base}/window"), "meta": { "profiles": { "usual": "", "short": "" } },
        })),
        "account" => located(&format!("{base}/account/1"), &json!({ "status": "valid" })),
        "order" if rest.is_empty() => match state.refuses {
            Some(seconds) => refused(seconds),
            None => {
                state.orders.push(said.clone());
                state.certificates.push(String::new());
                let number = state.orders.len() - 1;
                located(
                    &format!("{base}/order/{number}"),
                    &order(base, number, state),
                )
            }
        },
        "finalize" => {
            state.certificates[number] = issue(said["csr"].as_str().unwrap_or_default());
            ok(&order(base, number, state))
        }
        "order" => ok(&order(base, number, state)),
        "certificate" => Answer {
            body: state.certificates[number].clone(),
            ..ok(&json!({}))
        },
        "window" => match &state.window {
            Some((start, end)) => Answer {
                fields: "Retry-After: 21600\r\n".into(),
                ..ok(&json!({ "suggestedWindow": { "start": start, "end": end } }))
            },
            None => Answer {
                status: "404 Not Found",
                ..ok(&json!({}))
            },
        },
        _ => ok(&json!({})),
    }
}

fn order(base: &str, number: usize, state: &State) -> Value {
    let is_given = !state.certificates[number].is_empty();
    json!({
        "status": if is_given { "valid" } else { "ready" },
        "authorizations": [],
        "finalize": format!("{base}/finalize/{number}"),
        "certificate": is_given.then(|| format!("{base}/certificate/{number}")),
        "replaces": state.orders[number].get("replaces"),
    })
}

fn ok(body: &Value) -> Answer {
    Answer {
        status: "200 OK",
        fields: String::new(),
        body: body.to_string(),
    }
}

fn located(url: &str, body: &Value) -> Answer {
    Answer {
        status: "201 Created",
        fields: format!("Location: {url}\r\n"),
        body: body.to_string(),
    }
}

fn refused(seconds: u64) -> Answer {
    let problem =
        json!({ "type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many orders" });
    Answer {
        status: "429 Too Many Requests",
        fields: format!("Retry-After: {seconds}\r\n"),
        body: problem.to_string(),
    }
}

/// A certificate for whatever is asked for.
fn issue(request: &str) -> String {
    let request = URL_SAFE_NO_PAD
        .decode(request)
        .expect("a request in base64url");
    let mut request =
        CertificateSigningRequestParams::from_der(&request.into()).expect("a request");
    request.params.not_before = date_time_ymd(2033, 1, 1);
    request.params.not_after = date_time_ymd(2033, 4, 1);
    request.params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate().expect("a key can be made");
    let mut issuer = CertificateParams::default();
    issuer.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    issuer
        .distinguished_name
        .push(DnType::CommonName, "issuer of a test");
    let signed = request.signed_by(&Issuer::new(issuer, key));
    signed.expect("a certificate can be made").pem()
}
