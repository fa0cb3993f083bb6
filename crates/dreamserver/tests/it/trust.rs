//! `dreamserver trust` and `untrust`, with the real stores: the system's of Debian, and NSS databases.
//!
//! Nothing of this machine is touched: the home is a folder of the test, and the folders of the system's store are others, in a
//! mount namespace of the test (`unshare`).

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use dream_testkit::Folder;
use serde_json::Value;

use crate::peers::has;

/// The program with a home of its own.
fn dreamserver(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dreamserver"));
    command.args(arguments);
    in_home(&mut command, home);
    command
}

fn in_home(command: &mut Command, home: &Path) {
    for variable in ["XDG_DATA_HOME", "CAROOT", "DREAM_AUTHORITY", "SUDO_UID"] {
        command.env_remove(variable);
    }
    command.env("HOME", home);
}

fn run(mut command: Command) -> (i32, String) {
    let output = command.output().unwrap();
    (output.status.code().unwrap(), text(&output))
}

fn text(output: &Output) -> String {
    let both = [&*output.stdout, &*output.stderr].concat();
    String::from_utf8(both).unwrap()
}

fn status(home: &Path) -> (i32, Value) {
    let output = dreamserver(home, &["trust", "--status", "--json"])
        .output()
        .unwrap();
    (
        output.status.code().unwrap(),
        serde_json::from_slice(&output.stdout).unwrap(),
    )
}

/// A database as Firefox has it, with a CA of somebody else.
fn profile(folder: &Folder, name: &str) -> String {
    let path = folder.join(name);
    fs::create_dir_all(&path).unwrap();
    let database = format!("sql:{}", path.display());
    certutil(&["-N", "-d", &database, "--empty-password"]);
    let other = folder.join("other.pem");
    let mut openssl = Command::new("openssl");
    openssl.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ]);
    openssl
        .args(["-subj", "/CN=other", "-keyout", "/dev/null", "-out"])
        .arg(&other);
    assert!(openssl.output().unwrap().status.success());
    certutil(&[
        "-A",
        "-d",
        &database,
        "-t",
        "C,,",
        "-n",
        "other",
        "-i",
        other.to_str().unwrap(),
    ]);
    database
}

fn certutil(arguments: &[&str]) -> String {
    let output = Command::new("certutil").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", text(&output));
    text(&output)
}

/// The nicknames and flags of a database.
fn listed(database: &str) -> Vec<String> {
    let list = certutil(&["-L", "-d", database]);
    let lines = list
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    let mut lines: Vec<String> = lines.filter(|line| line.ends_with(",,")).collect();
    lines.sort();
    lines
}

#[test]
fn browsers_trust_the_ca_until_untrust_takes_it_back() {
    if !has("sh", &["-c", "command -v certutil"]) {
        return;
    }
    let folder = Folder::new("trust-nss");
    let firefox = profile(&folder, ".mozilla/firefox/abc.default");
    let snap = profile(&folder, "snap/firefox/common/.mozilla/firefox/def.default");
    let chromium = profile(&folder, ".pki/nssdb");
    let all = [&firefox, &snap, &chromium];
    assert_eq!(status(folder.path()).0, 1);

    for said in ["trusted now by Firefox", "trusted already by Firefox"] {
        let (code, output) = run(dreamserver(folder.path(), &["trust", "--store", "nss"]));
        assert_eq!(code, 0, "{output}");
        assert_eq!(output.matches(said).count(), 2, "{output}");
    }
    let (code, status_of_own) = status(folder.path());
    let own = &status_of_own["authorities"][0];
    assert_eq!(
        (code, &own["kind"], &own["signs"]),
        (0, &"own".into(), &true.into())
    );
    let nickname = format!(
        "dreamserver {} C,,",
        &own["fingerprint"].as_str().unwrap()[..16]
    );
    for database in all {
        assert_eq!(listed(database), [nickname.as_str(), "other C,,"]);
    }

    let (code, output) = run(dreamserver(
        folder.path(),
        &["trust", "--store", "nss", "--name", "example.com"],
    ));
    assert_eq!(code, 0, "{output}");
    assert!(
        output.contains("CA for example.com, and all names below it"),
        "{output}"
    );
    assert!(all.iter().all(|database| listed(database).len() == 3));
    let (code, output) = run(dreamserver(
        folder.path(),
        &["untrust", "--name", "example.com", "--delete"],
    ));
    assert_eq!(code, 0, "{output}");
    for database in all {
        assert_eq!(listed(database), [nickname.as_str(), "other C,,"]);
    }

    for said in ["no longer trusted by Firefox", "nothing trusts it any more"] {
        let (code, output) = run(dreamserver(folder.path(), &["untrust"]));
        assert_eq!(code, 0, "{output}");
        assert!(output.contains(said), "{output}");
    }
    for database in all {
        assert_eq!(listed(database), ["other C,,"]);
    }
    let (code, status) = status(folder.path());
    assert_eq!(
        (code, &status["authorities"][0]["signs"]),
        (1, &false.into())
    );
}

#[test]
fn untrust_leaves_no_key_if_it_is_told_so() {
    if !has("sh", &["-c", "command -v certutil"]) {
        return;
    }
    let folder = Folder::new("trust-delete");
    profile(&folder, ".pki/nssdb");
    run(dreamserver(folder.path(), &["trust", "--store", "nss"]));
    let authority = folder.join(".local/share/dreamserver/authority");
    assert_eq!(fs::read_dir(&authority).unwrap().count(), 3);
    let (code, output) = run(dreamserver(folder.path(), &["untrust", "--delete"]));
    assert_eq!(code, 0, "{output}");
    assert_eq!(fs::read_dir(&authority).unwrap().count(), 0);
    let (code, output) = run(dreamserver(folder.path(), &["untrust"]));
    assert_eq!(code, 0, "{output}");
    assert!(output.contains("nothing is left to do"), "{output}");
}

/// A shell script in a world where `local` and `ssl` of the folder are those of the system's store.
fn in_system(folder: &Folder, script: &str) -> (i32, String) {
    let mounts = "mount --bind $DIR/local /usr/local/share/ca-certificates && mount --bind $DIR/ssl /etc/ssl/certs &&";
    let mut unshare = Command::new("unshare");
    unshare.args(["-rm", "sh", "-c", &format!("{mounts} {script}")]);
    unshare
        .env("DIR", folder.path())
        .env("DREAMSERVER", env!("CARGO_BIN_EXE_dreamserver"));
    in_home(&mut unshare, folder.path());
    run(unshare)
}

/// Names of all files, and what is in the bundle.
fn system_store(folder: &Folder) -> (Vec<String>, String) {
    let names = ["local", "ssl"]
        .iter()
        .flat_map(|name| fs::read_dir(folder.join(name)).unwrap());
    let mut names: Vec<String> = names
        .map(|file| file.unwrap().path().display().to_string())
        .collect();
    names.sort();
    (
        names,
        fs::read_to_string(folder.join("ssl/ca-certificates.crt")).unwrap(),
    )
}

#[test]
fn the_system_trusts_the_ca_until_untrust_takes_it_back() {
    let is_debian = Path::new("/usr/local/share/ca-certificates").is_dir();
    if !is_debian || !has("unshare", &["-rm", "true"]) {
        return;
    }
    let folder = Folder::new("trust-system");
    fs::create_dir(folder.join("local")).unwrap();
    fs::create_dir(folder.join("ssl")).unwrap();
    let (code, output) = in_system(&folder, "update-ca-certificates --fresh");
    assert_eq!(code, 0, "{output}");
    let before = system_store(&folder);

    for said in ["trusted now by the system", "trusted already by the system"] {
        let (code, output) = in_system(&folder, "exec $DREAMSERVER trust --store system");
        assert_eq!(code, 0, "{output}");
        assert!(output.contains(said), "{output}");
    }
    let pem = fs::read_to_string(folder.join(".local/share/dreamserver/authority/ca.pem")).unwrap();
    assert_eq!(system_store(&folder).1.matches(pem.trim()).count(), 1);
    let ca = "$HOME/.local/share/dreamserver/authority/ca.pem";
    let verify = format!("openssl verify -CApath /etc/ssl/certs -no-CAfile {ca}");
    assert_eq!(in_system(&folder, &verify).0, 0);
    let (code, output) = in_system(&folder, "exec $DREAMSERVER trust --status");
    assert_eq!(code, 0, "{output}");
    assert!(output.contains("  trusted      by the system"), "{output}");

    for _ in 0..2 {
        let (code, output) = in_system(&folder, "exec $DREAMSERVER untrust");
        assert_eq!(code, 0, "{output}");
        assert_eq!(system_store(&folder), before);
    }
    assert_ne!(in_system(&folder, &verify).0, 0);
}

/// In a user namespace without a mapping, nobody is root.
#[test]
fn without_root_it_says_what_is_not_done_and_how_to_do_it() {
    let is_debian = Path::new("/usr/local/share/ca-certificates").is_dir();
    if !is_debian || !has("unshare", &["-U", "true"]) {
        return;
    }
    let folder = Folder::new("trust-user");
    let as_user = |arguments: &[&str]| {
        let mut unshare = Command::new("/usr/bin/unshare");
        unshare
            .args(["-U", env!("CARGO_BIN_EXE_dreamserver")])
            .args(arguments);
        // No browser, and no sudo.
        in_home(unshare.env("PATH", folder.path()), folder.path());
        run(unshare)
    };
    let (code, output) = as_user(&["trust"]);
    assert_eq!(code, 1, "{output}");
    for said in [
        "    sudo install -m 0644 ",
        "    sudo update-ca-certificates\n",
        "it signs nothing",
    ] {
        assert!(output.contains(said), "{output}");
    }
    assert_eq!(as_user(&["trust", "--status"]).0, 1);

    fs::create_dir_all(folder.join(".pki/nssdb")).unwrap();
    folder.write(".pki/nssdb/cert9.db", "");
    let (code, output) = as_user(&["trust", "--store", "nss"]);
    assert_eq!(code, 1, "{output}");
    assert!(
        output.contains("the program certutil is missing; `"),
        "{output}"
    );
}

#[test]
fn what_is_not_trusted_in_the_users_name_is_refused() {
    let folder = Folder::new("trust-refused");
    for (name, reason) in [
        ("com", "name a domain below it"),
        ("app.localhost", "leave out --name"),
        ("a/b", "no name that a certificate can be for"),
    ] {
        let (code, output) = run(dreamserver(folder.path(), &["trust", "--name", name]));
        assert_eq!(code, 2, "{output}");
        assert!(output.contains(reason), "{output}");
    }
    assert!(!folder.join(".local").exists());
    let mut homeless = dreamserver(folder.path(), &["trust"]);
    homeless.env_remove("HOME");
    let (code, output) = run(homeless);
    assert_eq!(code, 1);
    assert!(output.contains("HOME are not set"), "{output}");
}

#[test]
fn mkcerts_ca_is_left_to_mkcert() {
    if !has("mkcert", &["-version"]) {
        return;
    }
    let folder = Folder::new("trust-mkcert");
    let mut mkcert = Command::new("mkcert");
    in_home(&mut mkcert, folder.path());
    mkcert.arg("localhost").current_dir(folder.path());
    let (code, output) = run(mkcert);
    assert_eq!(code, 0, "{output}");
    let (code, output) = run(dreamserver(folder.path(), &["trust"]));
    assert_eq!(code, 1, "{output}");
    assert!(output.contains("`mkcert -install`"), "{output}");
    let (code, status) = status(folder.path());
    let authority = &status["authorities"][0];
    assert_eq!(
        (code, &authority["kind"], &authority["signs"]),
        (0, &"mkcert".into(), &true.into())
    );
    assert!(!folder.join(".local/share/dreamserver").exists());
}
