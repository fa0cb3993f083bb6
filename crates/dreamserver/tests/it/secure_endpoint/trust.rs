//! Whom an endpoint may be, and who we are to it.

use std::sync::Arc;

use dream_testkit::{Folder, Origin, Server, Signal, eventually};
use rcgen::{BasicConstraints, IsCa};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;

use super::{Ca, Leaf, Proxy, answering, site, url};
use crate::start::{binary, get, post, run};

/// The answer of a server that trusts `ca` before an endpoint with this certificate.
#[track_caller]
fn refused(ca: &Ca, leaf: &Leaf, reason: &str) {
    let origin = answering(leaf.config());
    let proxy = Proxy::trusting(ca, &[&origin]);
    let answer = proxy.server.client().ask(post("/", "secret"));
    assert_eq!(answer.status, 502);
    assert!(
        answer.text().contains("No secure connection"),
        "{}",
        answer.text()
    );
    let line = proxy
        .server
        .message(|line| line.contains("no secure connection"));
    assert!(
        line.contains(&url(&origin)) && line.contains(reason),
        "{line}"
    );
    assert!(origin.requests().is_empty());
}

#[test]
fn an_endpoint_with_the_right_certificate_is_answered_for() {
    let ca = Ca::new();
    let origin = answering(ca.leaf(&["localhost"]).config());
    let proxy = Proxy::trusting(&ca, &[&origin]);
    assert_eq!(proxy.server.client().ask(get("/x")).body, b"ok");
    let line = proxy.server.log_line(|line| line.contains("endpoint="));
    assert!(
        line.contains(&format!("endpoint={}", url(&origin))),
        "{line}"
    );
}

#[test]
fn an_unknown_issuer_is_named() {
    refused(
        &Ca::new(),
        &Ca::new().leaf(&["localhost"]),
        "unknown issuer",
    );
    // A CA that was made anew often has the name of the one before.
    let (old, new) = (Ca::named("same"), Ca::named("same"));
    refused(
        &old,
        &new.leaf(&["localhost"]),
        "another issuer of the same name",
    );
}

#[test]
fn an_expired_certificate_is_named() {
    let ca = Ca::new();
    let leaf = ca.leaf_with(&["localhost"], |params| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    refused(&ca, &leaf, "expired");
    let leaf = ca.leaf_with(&["localhost"], |params| {
        params.not_before = rcgen::date_time_ymd(4000, 1, 1);
        params.not_after = rcgen::date_time_ymd(4001, 1, 1);
    });
    refused(&ca, &leaf, "not valid yet");
}

#[test]
fn a_certificate_for_another_name_is_named() {
    let ca = Ca::new();
    let leaf = ca.leaf(&["a.example", "b.example"]);
    refused(
        &ca,
        &leaf,
        "not for localhost, but for a.example, b.example",
    );
}

#[test]
fn a_certificate_that_signs_others_proves_no_name() {
    let ca = Ca::new();
    let leaf = ca.leaf_with(&["localhost"], |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    refused(&ca, &leaf, "CA:TRUE");
}

#[test]
fn an_endpoint_that_speaks_no_tls_is_named() {
    let origin = Origin::start(|connection| {
        connection.read_some(1);
        connection.write("HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let proxy = Proxy::trusting(&Ca::new(), &[&origin]);
    assert_eq!(proxy.server.client().ask(get("/")).status, 502);
    proxy
        .server
        .message(|line| line.contains("does not speak TLS"));
}

#[test]
fn insecure_takes_anybody_and_says_so() {
    let origin = answering(Ca::new().leaf(&["other.example"]).config());
    let proxy = Proxy::start(
        Folder::new("insecure"),
        &site(&[&origin], "insecure = true"),
    );
    assert_eq!(proxy.server.client().ask(get("/")).body, b"ok");
    let line = proxy.server.message(|line| line.contains("`insecure`"));
    assert!(
        line.contains("WARN") && line.contains(&url(&origin)),
        "{line}"
    );
}

#[test]
fn the_system_vouches_where_nobody_else_is_named() {
    let ca = Ca::new();
    let origin = answering(ca.leaf(&["localhost"]).config());
    let folder = Folder::new("system");
    let file = folder.write("system.pem", &ca.pem);
    let script = format!(
        "SSL_CERT_FILE={} exec {} proxy {} --listen 127.0.0.1:0",
        file.display(),
        binary(),
        url(&origin)
    );
    let server = Server::start_in("/bin/sh", folder.path(), &["-c", &script]);
    assert_eq!(server.client().ask(get("/")).body, b"ok");
}

/// What a server goes by that talks only to those whose certificate `ca` has signed.
fn demanding(ca: &Ca, leaf: &Leaf) -> Arc<ServerConfig> {
    let verifier = WebPkiClientVerifier::builder(ca.roots()).build().unwrap();
    let builder = ServerConfig::builder().with_client_cert_verifier(verifier);
    Arc::new(builder.with_single_cert(leaf.chain(), leaf.key()).unwrap())
}

#[test]
fn an_endpoint_that_asks_who_we_are_is_told() {
    let ca = Ca::new();
    let origin = answering(demanding(&ca, &ca.leaf(&["localhost"])));
    let folder = Folder::new("own");
    folder.write("ca.pem", &ca.pem);
    ca.leaf(&["front.example"]).write(folder.path(), "own");
    let tls = "ca = \"ca.pem\", cert = \"own.pem\", key = \"own.key\"";
    let proxy = Proxy::start(folder, &site(&[&origin], tls));
    assert_eq!(proxy.server.client().ask(get("/")).body, b"ok");
}

#[test]
fn an_endpoint_that_is_not_told_who_we_are_is_followed_by_the_next() {
    let ca = Ca::new();
    let strict = answering(demanding(&ca, &ca.leaf(&["localhost"])));
    let open = answering(ca.leaf(&["localhost"]).config());
    let proxy = Proxy::trusting(&ca, &[&strict, &open]);
    for _ in 0..4 {
        assert_eq!(proxy.server.client().ask(post("/", "")).body, b"ok");
    }
    let proxy = Proxy::trusting(&ca, &[&strict]);
    assert_eq!(proxy.server.client().ask(get("/")).status, 502);
    proxy
        .server
        .message(|line| line.contains("demands a certificate of this server"));
}

#[test]
fn wrong_files_and_options_are_shown_where_they_stand() {
    let folder = Folder::new("wrong");
    let ca = Ca::new();
    folder.write("ca.pem", &ca.pem);
    folder.write("empty.pem", "");
    ca.leaf(&["a.example"]).write(folder.path(), "one");
    ca.leaf(&["a.example"]).write(folder.path(), "other");
    for (tls, wrong) in [
        ("ca = \"none.pem\"", "none.pem cannot be used"),
        ("ca = \"empty.pem\"", "there is no certificate in it"),
        ("cert = \"one.pem\"", "only together"),
        (
            "cert = \"one.pem\", key = \"other.key\"",
            "is not that of the certificate",
        ),
        (
            "ca = \"ca.pem\", insecure = true",
            "asks nobody for a certificate",
        ),
        (
            "server_name = \"https://a\"",
            "not a name that a certificate can have",
        ),
        ("verify = false", "verify"),
    ] {
        let config =
            format!("[sites.\"*\"]\nproxy = \"https://localhost:1\"\nproxy_tls = {{ {tls} }}\n");
        folder.write("dreamserver.toml", config);
        let exit = run(folder.path(), &["check", "--config", "dreamserver.toml"]);
        assert_ne!(exit.code, Some(0), "{tls}");
        assert!(
            exit.stderr.contains(wrong) && exit.stderr.contains("dreamserver.toml:3"),
            "{tls}: {}",
            exit.stderr
        );
    }
    folder.write(
        "dreamserver.toml",
        "[sites.\"*\"]\nproxy = \"localhost:1\"\nproxy_tls = { insecure = true }\n",
    );
    let exit = run(folder.path(), &["check", "--config", "dreamserver.toml"]);
    assert!(
        exit.stderr.contains("none of these endpoints"),
        "{}",
        exit.stderr
    );
}

#[test]
fn a_ca_that_changes_is_read_again_and_a_wrong_one_is_not_taken() {
    let (old, new) = (Ca::new(), Ca::new());
    let first = answering(old.leaf(&["localhost"]).config());
    let proxy = Proxy::trusting(&old, &[&first]);
    assert_eq!(proxy.server.client().ask(get("/")).status, 200);
    // What is no certificate does not take the place of one.
    proxy.folder.write("ca.pem", "nothing");
    proxy
        .server
        .message(|line| line.contains("what was in use stays"));
    assert_eq!(proxy.server.client().ask(get("/")).status, 200);
    // A connection that the old one vouched for is not used under the new one.
    proxy.folder.write("ca.pem", &new.pem);
    eventually("the new CA is taken", || {
        proxy.server.client().ask(get("/")).status == 502
    });
    // A reload with a wrong file is refused whole.
    proxy.folder.write("ca.pem", "nothing");
    proxy.server.signal(Signal::HUP);
    proxy
        .server
        .message(|line| line.contains("the new configuration is refused"));
    proxy.folder.write("ca.pem", &old.pem);
    proxy.server.signal(Signal::HUP);
    eventually("the old CA is taken again", || {
        proxy.server.client().ask(get("/")).status == 200
    });
}
