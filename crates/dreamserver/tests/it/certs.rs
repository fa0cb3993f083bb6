//! `dreamserver certs`: what there is, a renewal, an import; and what `status` warns of.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use dream_testkit::{Authority, Client, Folder, KeyKind, Security, eventually, free_port};
use serde_json::Value;

use crate::announce::{Core, saying};
use crate::owners::say_as;
use crate::start::binary;

/// A server that uses certificates of the folder, and orders none.
const SITE: &str = "acme = false\nlisten = { tls = '127.0.0.1:0' }\n\
                    [sites.'shop.dream.net']\nrespond = 'hi'\n";

/// Runs the program where no server is.
fn alone(home: &Folder, arguments: &[&str]) -> (Option<i32>, String) {
    let control = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new(binary());
    command.args(arguments).args(["--control", &control]);
    let output = command
        .arg("--state")
        .arg(home.join("state"))
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

fn rows(core: &Core, arguments: &[&str]) -> Vec<Value> {
    let (code, text) = core.command(&[&["certs", "--json"], arguments].concat());
    assert_eq!(code, Some(0), "{text}");
    serde_json::from_str(&text).unwrap()
}

/// Asks for the site, as a client that trusts this CA; gives the status.
fn ask(core: &Core, ca: &Authority) -> u16 {
    let security = Security::new(ca, "shop.dream.net");
    let mut client = Client::secure(core.server.secure_address(), &security);
    client
        .ask("GET / HTTP/1.1\r\nHost: shop.dream.net\r\n\r\n")
        .status
}

/// Imports `NAME.pem` and `NAME.key` of this folder.
fn import(core: &Core, home: &Folder, name: &str, key: &str) -> (Option<i32>, String) {
    let (cert, key) = (home.join(name), home.join(key));
    let files = [
        "--cert",
        cert.to_str().unwrap(),
        "--key",
        key.to_str().unwrap(),
    ];
    core.command(&[&["certs", "import", "shop.dream.net"], &files[..]].concat())
}

/// A pair that ends so long from now.
pub(crate) fn write_ending(home: &Folder, name: &str, host: &str, left: Duration) {
    let mut params = rcgen::CertificateParams::new([host.to_owned()]).unwrap();
    params.not_before = (SystemTime::now() - Duration::from_secs(9 * 24 * 3600)).into();
    params.not_after = (SystemTime::now() + left).into();
    let key = rcgen::KeyPair::generate().unwrap();
    let made = params.self_signed(&key).unwrap();
    home.write(&format!("{name}.pem"), made.pem());
    home.write(&format!("{name}.key"), key.serialize_pem());
}

#[test]
fn without_a_server_it_says_how_to_start_one() {
    let home = Folder::new("certs");
    for arguments in [&["certs"][..], &["certs", "renew", "example.com"]] {
        let (code, said) = alone(&home, arguments);
        assert_eq!(code, Some(1), "{said}");
        assert!(
            said.contains("start the server with `dreamserver core`"),
            "{said}"
        );
    }
    let (code, said) = alone(&home, &["certs", "import"]);
    assert_eq!(code, Some(2), "{said}");
    let (_, help) = alone(&home, &["certs", "--help"]);
    assert!(
        help.contains("certs import --from /etc/letsencrypt/live"),
        "{help}"
    );
}

#[test]
fn a_certificate_from_elsewhere_is_used_at_once_and_after_a_start() {
    let home = Folder::new("certs");
    let (first, second) = (Authority::new("First CA"), Authority::new("Second CA"));
    fs::create_dir_all(home.join("live/shop")).unwrap();
    let issued = first.issue(KeyKind::Ecdsa, &["shop.dream.net", "*.dream.net"]);
    home.write("live/shop/fullchain.pem", issued.chain_pem());
    home.write("live/shop/privkey.pem", issued.key_pem());
    let live = home.join("live");
    let (code, said) = alone(
        &home,
        &["certs", "import", "--from", live.to_str().unwrap()],
    );
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(
        said,
        "shop.dream.net: kept for the next start, as no server runs now\n"
    );
    let left = home.join("state/acme/imports/shop.dream.net");
    assert_eq!(
        fs::metadata(&left).unwrap().permissions().mode() & 0o777,
        0o600
    );

    let core = Core::configured(&home, SITE);
    assert_eq!(ask(&core, &first), 200);
    assert!(!left.exists());
    let listed = rows(&core, &[]);
    assert_eq!(
        (&listed[0]["name"], &listed[0]["kind"]),
        (&"shop.dream.net".into(), &"public".into())
    );
    assert!(listed[0]["renewal"].as_u64() < listed[0]["not_after"].as_u64());

    second
        .issue(KeyKind::Rsa, &["*.dream.net"])
        .write(home.path(), "second");
    let (code, said) = import(&core, &home, "second.pem", "second.key");
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.starts_with("shop.dream.net: in use from now on, until "),
        "{said}"
    );
    assert_eq!(ask(&core, &second), 200);
    let kept = home.join("state/acme/certificates/shop.dream.net");
    assert_eq!(
        fs::metadata(kept).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let (_, table) = core.command(&["certs"]);
    assert!(
        table.starts_with("NAME ") && table.contains("Second CA"),
        "{table}"
    );
    assert!(
        !table.contains('\x1b'),
        "colours are for terminals: {table}"
    );
}

#[test]
fn what_is_of_no_use_is_not_imported() {
    let home = Folder::new("certs");
    let ca = Authority::new("CA");
    let core = Core::configured(&home, SITE);
    for (name, hosts) in [("good", ["shop.dream.net"]), ("other", ["other.dream.net"])] {
        ca.issue(KeyKind::Ecdsa, &hosts).write(home.path(), name);
    }
    write_ending(&home, "old", "shop.dream.net", Duration::ZERO);
    assert_eq!(import(&core, &home, "good.pem", "good.key").0, Some(0));
    for (cert, key, why) in [
        ("good.pem", "other.key", "the key is not the certificate's"),
        (
            "other.pem",
            "other.key",
            "the certificate is for other.dream.net",
        ),
        ("old.pem", "old.key", "the certificate has ended on"),
        ("good.key", "good.key", "there is no certificate in it"),
        (
            "none.pem",
            "good.key",
            "none.pem cannot be read: No such file",
        ),
    ] {
        let (code, said) = import(&core, &home, cert, key);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(why), "{said}");
    }
    // Nobody who cannot write into the folder has anything taken.
    let reply = core.say("import shop.dream.net");
    assert!(
        reply.starts_with("err no-certificate: nothing was left"),
        "{reply}"
    );
    assert!(core.say("import ../shop").starts_with("err bad-domain"));
    // One that somebody put there all the same is set aside.
    home.write("state/acme/imports/shop.dream.net", "not PEM");
    let reply = core.say("import shop.dream.net");
    assert!(reply.starts_with("err no-certificate: "), "{reply}");
    assert!(
        home.join("state/acme/damaged/imports/shop.dream.net")
            .exists()
    );
    assert_eq!(ask(&core, &ca), 200);
}

#[test]
fn certificates_in_files_are_listed_and_their_end_is_told_in_time() {
    let home = Folder::new("certs");
    write_ending(
        &home,
        "soon",
        "soon.example",
        Duration::from_secs(5 * 24 * 3600),
    );
    write_ending(
        &home,
        "late",
        "late.example",
        Duration::from_secs(60 * 24 * 3600),
    );
    let site = |name: &str| {
        format!(
            "[sites.'{name}.example']\nrespond = 'x'\ntls = {{ cert = '{name}.pem', key = '{name}.key' }}\n"
        )
    };
    let config = format!(
        "[listen]\ntls = '127.0.0.1:0'\n{}{}",
        site("soon"),
        site("late")
    );
    let core = Core::configured(&home, &config);
    let listed = rows(&core, &[]);
    let names: Vec<&str> = listed
        .iter()
        .map(|row| row["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["late.example", "soon.example"]);
    assert_eq!(rows(&core, &["soon.example"]).len(), 1);
    assert!(rows(&core, &["none.example"]).is_empty());
    let (_, table) = core.command(&["certs"]);
    assert!(
        table.contains("ends soon") && table.contains("(in 4d)"),
        "{table}"
    );
    let (_, status) = core.command(&["status"]);
    let warned = "warning: the certificate of soon.example ends on ";
    assert!(
        status.contains(warned) && !status.contains("late.example"),
        "{status}"
    );
    let (_, status) = core.command(&["status", "--json"]);
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["warnings"].as_array().unwrap().len(), 1, "{status}");
    let (code, said) = core.command(&["certs", "renew", "soon.example"]);
    assert!(
        code == Some(1) && said.contains("replace it there"),
        "{said}"
    );
    home.write("late.pem", "not PEM");
    eventually("what is wrong with the new file is told", || {
        rows(&core, &["late.example"])[0]["error"].is_string()
    });
    let (_, status) = core.command(&["status"]);
    assert!(status.contains("late.example is not renewed"), "{status}");
}

#[test]
fn in_development_names_without_a_ca_are_told() {
    let home = Folder::new("certs");
    let (authority, origin) = (home.join("authority"), saying("hello"));
    let folder = authority.to_str().unwrap();
    // Nothing trusts it yet; for the server it is enough that it is said to be installed.
    alone(&home, &["trust", "--store", "nss", "--authority", folder]);
    assert!(authority.join("ca.pem").exists());
    fs::write(authority.join("ca.stores"), "/nowhere\n").unwrap();
    let house = |name: &str| format!("{name}={}", home.path().display());
    let program = binary();
    let arguments = [
        &house("HOME"),
        &house("XDG_DATA_HOME"),
        &house("CAROOT"),
        program.as_str(),
        "core",
        "--authority",
        folder,
        "--listen",
        "127.0.0.1:0",
        "--listen-tls",
        "127.0.0.1:0",
        "--control",
        "127.0.0.1:0",
    ];
    let core = Core::run(&home, "env", &arguments.map(|argument: &str| argument));
    for name in ["app.localhost", "shop.dream.net", "*.dream.org"] {
        core.announce(name, &origin);
    }
    let (_, status) = core.command(&["status"]);
    for name in ["shop.dream.net", "dream.org"] {
        assert!(
            status.contains(&format!("`dreamserver trust --name {name}`")),
            "{status}"
        );
    }
    assert!(!status.contains("app.localhost"), "{status}");
    handshake(&core, &authority, "app.localhost");
    let listed = rows(&core, &[]);
    assert_eq!(
        (&listed[0]["name"], &listed[0]["kind"]),
        (&"app.localhost".into(), &"local".into())
    );
    let (code, said) = core.command(&["certs", "renew", "app.localhost"]);
    assert!(
        code == Some(1) && said.contains("renews them by itself"),
        "{said}"
    );
}

/// Has a certificate be made.
fn handshake(core: &Core, authority: &Path, name: &str) {
    let url = format!("https://{name}:{}/", core.server.secure_address().port());
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--noproxy", "*", "--cacert"])
        .arg(authority.join("ca.pem"));
    let address = core.server.secure_address();
    curl.args([
        "--resolve",
        &format!("{name}:{}:127.0.0.1", address.port()),
        &url,
    ]);
    let output = curl.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn only_the_owner_has_a_certificate_renewed() {
    const BOB: u32 = 54_002;
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let home = Folder::new("certs");
    let core = Core::configured(&home, &format!("{SITE}[control]\nowners = true\n"));
    let refused = say_as(&core, BOB, "renew shop.dream.net");
    assert!(
        refused.starts_with("err not-owner: only root may renew"),
        "{refused}"
    );
    let disabled = say_as(&core, 0, "renew shop.dream.net");
    assert!(
        disabled.starts_with("err no-certificate: no certificates are ordered"),
        "{disabled}"
    );
    let unknown = say_as(&core, 0, "renew none.dream.net");
    assert!(unknown.starts_with("err unknown-domain"), "{unknown}");
}
