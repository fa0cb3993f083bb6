//! CAs and what they sign, judged by OpenSSL.

use super::ca::Ca;
use super::{AuthorityError, CurrentCa, Kind, LocalCa, Name, Places, own};
use crate::credential::Credential;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose};
use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Places in a folder of their own.
fn places(folder: &Path) -> Places {
    Places {
        own: Some(folder.join("data/authority")),
        mkcert: Some(folder.join("mkcert")),
        home: Some(folder.to_owned()),
    }
}

fn named(name: &str) -> Kind {
    Kind::Named(Name::parse(name).unwrap())
}

/// Makes a CA of ours that counts as installed.
fn make(places: &Places, kind: Kind, now: SystemTime) -> Ca {
    let ca = Ca::make(places, kind.clone(), now).unwrap();
    own::remember(places, &kind, &["somewhere".into()]).unwrap();
    ca
}

/// A CA as mkcert leaves it, with a key of its own kind.
pub(crate) fn make_mkcert(places: &Places) {
    let folder = places.mkcert.as_ref().unwrap();
    let key = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
        .distinguished_name
        .push(DnType::OrganizationName, "mkcert development CA");
    params
        .distinguished_name
        .push(DnType::OrganizationalUnitName, "ann@here (Ann Ö)");
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("rootCA-key.pem"), key.serialize_pem()).unwrap();
    let made = params.self_signed(&key).unwrap();
    fs::write(folder.join("rootCA.pem"), made.pem()).unwrap();
}

/// Does OpenSSL accept the leaf as a server of that name, if it trusts the CA?
fn verifies(ca: &Path, leaf: &Credential, name: &str) -> Result<(), String> {
    let flag = match name.parse::<IpAddr>() {
        Ok(_) => "-verify_ip",
        Err(_) => "-verify_hostname",
    };
    let mut openssl = Command::new("openssl")
        .args([
            "verify",
            "-x509_strict",
            "-purpose",
            "sslserver",
            "-no-CApath",
            "-CAfile",
        ])
        .arg(ca)
        .args([flag, name])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pem = pem_of(&leaf.certified().cert[0]);
    openssl
        .stdin
        .take()
        .unwrap()
        .write_all(pem.as_bytes())
        .unwrap();
    let output = openssl.wait_with_output().unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// A certificate as PEM, by OpenSSL.
fn pem_of(der: &[u8]) -> String {
    let mut openssl = Command::new("openssl")
        .args(["x509", "-inform", "der"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    openssl.stdin.take().unwrap().write_all(der).unwrap();
    String::from_utf8(openssl.wait_with_output().unwrap().stdout).unwrap()
}

/// A leaf for any name, signed with the key of a CA as a thief would, who asks nobody.
fn stolen(ca: &Ca, name: &str, now: SystemTime) -> Credential {
    ca.issue(&Name::parse(name).unwrap(), now).unwrap()
}

#[test]
fn our_ca_signs_for_this_machine_and_its_key_for_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    let now = SystemTime::now();
    let ca = make(&places, Kind::Own, now);
    let file = ca.certificate().path().to_owned();
    let local = LocalCa::find(&places).unwrap().unwrap();
    for name in [
        "localhost",
        "app.localhost",
        "a.b.test",
        "db.internal",
        "tv.home.arpa",
        "127.0.0.1",
        "127.1.2.3",
        "::1",
    ] {
        let leaf = local.issue(name, now).unwrap();
        assert_eq!(leaf.names(), [name]);
        assert_eq!(verifies(&file, &leaf, name), Ok(()), "{name}");
    }
    let wildcard = local.issue("*.app.localhost", now).unwrap();
    assert_eq!(verifies(&file, &wildcard, "x.app.localhost"), Ok(()));
    for name in [
        "example.com",
        "notlocalhost",
        "10.0.0.1",
        "::2",
        "128.0.0.1",
    ] {
        let refusal = local.issue(name, now).unwrap_err();
        let command = format!("`dreamserver trust --name {name}`");
        assert!(refusal.to_string().contains(&command), "{refusal}");
        let failure = verifies(&file, &stolen(&ca, name, now), name).unwrap_err();
        assert!(failure.contains("permitted subtree violation"), "{failure}");
    }
}

#[test]
fn a_ca_for_a_name_signs_for_it_and_what_is_below() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    let now = SystemTime::now();
    let ca = make(&places, named("example.com"), now);
    let other = make(&places, named("192.168.1.5"), now);
    let local = LocalCa::find(&places).unwrap().unwrap();
    let file = ca.certificate().path();
    for name in ["example.com", "www.example.com"] {
        let leaf = local.issue(name, now).unwrap();
        assert_eq!(verifies(file, &leaf, name), Ok(()), "{name}");
    }
    for name in [
        "example.org",
        "badexample.com",
        "127.0.0.1",
        "::1",
        "localhost",
    ] {
        assert!(local.issue(name, now).is_err(), "{name}");
        let failure = verifies(file, &stolen(&ca, name, now), name).unwrap_err();
        assert!(failure.contains("subtree violation"), "{failure}");
    }
    let file = other.certificate().path();
    let leaf = local.issue("192.168.1.5", now).unwrap();
    assert_eq!(verifies(file, &leaf, "192.168.1.5"), Ok(()));
    for name in ["192.168.1.6", "::1", "example.com"] {
        let failure = verifies(file, &stolen(&other, name, now), name).unwrap_err();
        assert!(failure.contains("subtree violation"), "{failure}");
    }
}

#[test]
fn a_stolen_key_makes_no_further_ca_and_no_client() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    let ca = make(&places, Kind::Own, SystemTime::now());
    let text = Command::new("openssl")
        .args(["x509", "-noout", "-text", "-in"])
        .arg(ca.certificate().path())
        .output()
        .unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in [
        "Basic Constraints: critical CA:TRUE, pathlen:0",
        "Key Usage: critical Certificate Sign, CRL Sign",
        "Extended Key Usage: TLS Web Server Authentication",
        "Name Constraints: critical Permitted: DNS:localhost DNS:test DNS:internal DNS:home.arpa IP:127.0.0.0/255.0.0.0",
        "Public-Key: (256 bit)",
    ] {
        assert!(words.contains(expected), "{expected} in {words}");
    }
    assert!(
        words.contains("Subject: O = DreamServer, CN = DreamServer development CA "),
        "{words}"
    );
}

#[test]
fn the_key_is_for_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    make(&places, Kind::Own, SystemTime::now());
    let own = places.own.as_ref().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(own), 0o700);
    assert_eq!(mode(&own.join("ca.key")), 0o600);
    let left: Vec<_> = fs::read_dir(own)
        .unwrap()
        .map(|file| file.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 3, "{left:?}");
    fs::set_permissions(own.join("ca.key"), fs::Permissions::from_mode(0o640)).unwrap();
    let error = LocalCa::find(&places).unwrap_err();
    assert!(matches!(error, AuthorityError::Exposed(_)));
    assert!(error.to_string().contains("chmod 600"), "{error}");
}

#[test]
fn leaves_live_no_longer_than_ninety_days_or_their_ca() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    let now = SystemTime::now();
    let ca = make(&places, named("example.com"), now);
    let local = LocalCa::find(&places).unwrap().unwrap();
    let leaf = local.issue("example.com", now).unwrap();
    assert!(leaf.not_before() < now);
    assert_eq!(
        leaf.not_after().duration_since(leaf.not_before()).unwrap(),
        90 * DAY
    );
    let end = ca.certificate().not_after();
    let late = local.issue("example.com", end - DAY).unwrap();
    assert_eq!(late.not_after(), end);
    let ended = local.issue("example.com", end).unwrap_err();
    assert!(matches!(ended, AuthorityError::Ended(_)), "{ended}");
    let command = "`dreamserver trust --name example.com`";
    assert!(ended.to_string().contains(command), "{ended}");
}

#[test]
fn mkcerts_ca_comes_first_and_signs_for_everything() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    let now = SystemTime::now();
    make(&places, Kind::Own, now);
    make_mkcert(&places);
    let local = LocalCa::find(&places).unwrap().unwrap();
    let file = places.mkcert.as_ref().unwrap().join("rootCA.pem");
    for name in ["localhost", "example.com", "10.0.0.1"] {
        let leaf = local.issue(name, now).unwrap();
        assert_eq!(verifies(&file, &leaf, name), Ok(()), "{name}");
    }
    assert_eq!(local.to_string(), "mkcert's CA, for every name");
}

/// The real mkcert makes its CA, and a leaf; false if there is no mkcert here.
fn run_mkcert(caroot: &Path, folder: &Path) -> bool {
    let mkcert = Command::new("mkcert")
        .args(["-cert-file", "theirs.pem", "-key-file", "theirs.key"])
        .args(["example.com", "127.0.0.1"])
        .env("CAROOT", caroot)
        .current_dir(folder)
        .output();
    let ran = mkcert.is_ok_and(|output| output.status.success());
    let required = std::env::var("DREAM_PEERS").is_ok_and(|value| value == "required");
    assert!(
        ran || !required,
        "mkcert is missing, and peers are required"
    );
    ran
}

/// Its root verifies what we sign, and what we sign says what its own leaves say.
#[test]
fn leaves_by_mkcerts_ca_are_like_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    let caroot = places.mkcert.as_ref().unwrap();
    fs::create_dir(caroot).unwrap();
    if !run_mkcert(caroot, folder.path()) {
        println!("LEFT OUT: mkcert is missing");
        return;
    }
    let now = SystemTime::now();
    let local = LocalCa::find(&places).unwrap().unwrap();
    let root = caroot.join("rootCA.pem");
    for name in [
        "example.com",
        "*.shop.example",
        "app.localhost",
        "10.1.2.3",
        "fe80::1",
    ] {
        let leaf = local.issue(name, now).unwrap();
        assert_eq!(
            verifies(&root, &leaf, &name.replace('*', "a")),
            Ok(()),
            "{name}"
        );
    }
    let leaf = local.issue("example.com", now).unwrap();
    fs::write(
        folder.path().join("ours.pem"),
        pem_of(&leaf.certified().cert[0]),
    )
    .unwrap();
    let say = |file: &str, what: &[&str]| {
        let mut openssl = Command::new("openssl");
        openssl
            .args(["x509", "-noout", "-in", file])
            .args(what)
            .current_dir(folder.path());
        String::from_utf8(openssl.output().unwrap().stdout).unwrap()
    };
    for what in [
        &["-subject"][..],
        &["-issuer"],
        &["-ext", "extendedKeyUsage"],
        &["-ext", "authorityKeyIdentifier"],
    ] {
        assert_eq!(say("ours.pem", what), say("theirs.pem", what), "{what:?}");
    }
}

#[test]
fn a_ca_that_was_never_installed_does_not_sign() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    assert!(LocalCa::find(&places).unwrap().is_none());
    assert!(LocalCa::find(&Places::default()).unwrap().is_none());
    Ca::make(&places, Kind::Own, SystemTime::now()).unwrap();
    assert!(LocalCa::find(&places).unwrap().is_none());
    fs::create_dir_all(places.mkcert.as_ref().unwrap()).unwrap();
    fs::write(
        places.mkcert.as_ref().unwrap().join("rootCA.pem"),
        "its key is elsewhere",
    )
    .unwrap();
    assert!(LocalCa::find(&places).is_err());
}

#[test]
fn what_is_damaged_is_said_and_takes_nothing_else_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    let now = SystemTime::now();
    let own = places.own.clone().unwrap();
    make(&places, Kind::Own, now);
    make(&places, named("example.com"), now);
    let leaf = LocalCa::find(&places)
        .unwrap()
        .unwrap()
        .issue("localhost", now)
        .unwrap();
    let leaf = pem_of(&leaf.certified().cert[0]);
    let key = fs::read_to_string(own.join("ca-for-example.com.key")).unwrap();
    for (file, content, reason) in [
        ("ca.key", &*key, "the key beside it is not its own"),
        ("ca.key", "", "ca.key cannot be used"),
        ("ca.pem", "", "ca.pem cannot be used"),
        ("ca.pem", &leaf, "not the certificate of a CA"),
    ] {
        fs::write(own.join(file), content).unwrap();
        let local = LocalCa::find(&places).unwrap().unwrap();
        let [unusable] = local.unusable() else {
            panic!("{:?}", local.unusable());
        };
        assert!(unusable.to_string().contains(reason), "{unusable}");
        local.issue("example.com", now).unwrap();
        assert!(local.issue("localhost", now).is_err());
    }
    fs::remove_file(own.join("ca-for-example.com.pem")).unwrap();
    assert!(LocalCa::find(&places).is_err());
}

#[test]
fn what_changes_while_we_run_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    let now = SystemTime::now();
    let current = CurrentCa::new(places.clone());
    let description = || current.get().unwrap().map(|ca| ca.to_string());
    assert_eq!(description(), None);
    make(&places, Kind::Own, now);
    let names = "localhost, test, internal, home.arpa, 127.0.0.0/8, ::1";
    let own = format!("the CA of `dreamserver trust`, for {names}");
    assert_eq!(description().as_ref(), Some(&own));
    make(&places, named("example.com"), now);
    assert_eq!(description(), Some(format!("{own}; a CA for example.com")));
    let one = current.get().unwrap().unwrap();
    assert!(std::sync::Arc::ptr_eq(
        &one,
        &current.get().unwrap().unwrap()
    ));
    own::remember(&places, &Kind::Own, &[]).unwrap();
    assert_eq!(description(), Some("a CA for example.com".into()));
    make_mkcert(&places);
    assert_eq!(
        description(),
        Some("mkcert's CA, for every name; a CA for example.com".into())
    );
    fs::write(places.mkcert.as_ref().unwrap().join("rootCA.pem"), "").unwrap();
    assert_eq!(description(), Some("a CA for example.com".into()));
}

#[test]
fn a_key_that_is_hidden_from_others_again_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    let now = SystemTime::now();
    make(&places, Kind::Own, now);
    make(&places, named("example.com"), now);
    let key = places.own.as_ref().unwrap().join("ca.key");
    let set_mode = |mode| fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
    let current = CurrentCa::new(places);
    set_mode(0o644);
    assert_eq!(current.get().unwrap().unwrap().unusable().len(), 1);
    set_mode(0o600);
    assert!(current.get().unwrap().unwrap().unusable().is_empty());
}

#[test]
fn a_ca_is_made_once_and_again_when_it_is_of_no_use_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    let now = SystemTime::now();
    let kind = named("example.com");
    let first = own::ensure(&places, &kind, now).unwrap();
    assert!(first.replaced.is_none());
    let same = own::ensure(&places, &kind, now).unwrap();
    assert_eq!(same.certificate.der(), first.certificate.der());
    own::remember(&places, &kind, &["somewhere".into()]).unwrap();
    let late = first.certificate.not_after() - DAY;
    let second = own::ensure(&places, &kind, late).unwrap();
    assert_eq!(second.replaced.unwrap().der(), first.certificate.der());
    assert_ne!(second.certificate.subject(), first.certificate.subject());
    assert_eq!(own::stores(&places, &kind), [""; 0]);
    fs::remove_file(places.own.as_ref().unwrap().join("ca-for-example.com.key")).unwrap();
    let third = own::ensure(&places, &kind, late).unwrap();
    assert_eq!(third.replaced.unwrap().der(), second.certificate.der());
    assert_eq!(own::kinds(&places), [kind]);
    own::remove(&third.certificate).unwrap();
    assert!(own::kinds(&places).is_empty());
}

#[test]
fn a_ca_for_a_name_is_not_for_names_of_others() {
    for (text, expected) in [
        ("example.com", "example.com"),
        ("*.example.com", "example.com"),
        ("Bücher.example", "xn--bcher-kva.example"),
        ("www.example.co.uk", "www.example.co.uk"),
        ("mybox", "mybox"),
        ("192.168.1.5", "192.168.1.5"),
        ("fe80::1", "fe80::1"),
    ] {
        assert_eq!(own::for_name(text).unwrap(), named(expected), "{text}");
    }
    for (text, reason) in [
        ("com", "those of many"),
        ("co.uk", "those of many"),
        ("github.io", "those of many"),
        ("*.dev", "those of many"),
        ("app.localhost", "leave out --name"),
        ("127.0.0.1", "leave out --name"),
        ("", "no name"),
        ("../../etc/passwd", "no name"),
        ("a b", "no name"),
    ] {
        let error = own::for_name(text).unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
    }
}

#[test]
fn a_leaf_is_made_within_a_handshake() {
    let folder = tempfile::tempdir().unwrap();
    let places = places(folder.path());
    let now = SystemTime::now();
    make_mkcert(&places);
    make(&places, named("example.com"), now);
    let local = LocalCa::find(&places).unwrap().unwrap();
    let fastest = |name: &str| {
        let time = |_| {
            let start = Instant::now();
            local.issue(name, now).unwrap();
            start.elapsed()
        };
        (0..20).map(time).min().unwrap()
    };
    let took = fastest("app.localhost");
    assert!(took < Duration::from_millis(5), "{took:?}");
    eprintln!("a leaf by a CA with RSA took {took:?}");
}
