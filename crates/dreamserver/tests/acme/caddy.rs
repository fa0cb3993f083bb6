//! With Caddy's ACME server: the protocol as other people understand it than those who made Pebble.
//!
//! It looks at port 80 of whomever the system's names lead to, and nothing else can be had from it. So each test runs once more in
//! a world of its own, where port 80 is free and the names lead to the house.

use crate::house::{House, Plan, authority, wait};
use crate::pebble::{assert_valid, has};
use dream_testkit::{Caddy, Folder};
use std::env;
use std::fs;
use std::process::Command;

#[test]
fn caddy_gives_a_certificate_and_another_one() {
    in_own_world("caddy::gives_a_certificate");
}

#[test]
fn caddy_stands_in_for_an_authority_that_is_gone() {
    in_own_world("caddy::stands_in");
}

/// Runs a test with a network and names of its own, if this system gives such to this user.
fn in_own_world(test: &str) {
    if !has("caddy") {
        return;
    }
    let given = Command::new("unshare").args(["-rnm", "true"]).status();
    if !given.is_ok_and(|given| given.success()) {
        println!("LEFT OUT: no namespaces for this user");
        return;
    }
    let folder = Folder::new("world");
    let hosts = folder.write("hosts", "127.0.0.1 localhost www.example.com\n");
    let script = "ip link set lo up && mount --bind \"$HOSTS\" /etc/hosts && exec \"$@\"";
    let run = Command::new("unshare")
        .args(["-rnm", "sh", "-c", script, "sh"])
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env("HOSTS", hosts)
        .output()
        .unwrap();
    let said = [run.stdout, run.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(run.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
#[ignore = "is run by another test"]
fn gives_a_certificate() {
    let (house, folder, caddy) = (House::at(80), Folder::new("acme"), Caddy::start());
    let plan = plan(&house, &folder, &caddy);
    let office = plan.open();
    let root = fs::read_to_string(caddy.root()).unwrap();
    let first = wait(office.want("www.example.com")).unwrap();
    assert_valid(&root, &first, "www.example.com");
    let second = wait(office.renew("www.example.com")).unwrap();
    assert_ne!(first.certified().cert, second.certified().cert);
    assert_valid(&root, &second, "www.example.com");
    let rows = wait(office.list());
    assert!(
        rows[0].issuer.as_ref().unwrap().contains("Caddy"),
        "{rows:?}"
    );
}

#[test]
#[ignore = "is run by another test"]
fn stands_in() {
    let (house, folder, caddy) = (House::at(80), Folder::new("acme"), Caddy::start());
    let mut plan = plan(&house, &folder, &caddy);
    plan.options.fallback = Some(plan.options.authority);
    plan.options.authority = authority("https://127.0.0.1:1/dir", caddy.root());
    let office = plan.open();
    let credential = wait(office.want("www.example.com")).unwrap();
    let root = fs::read_to_string(caddy.root()).unwrap();
    assert_valid(&root, &credential, "www.example.com");
}

/// A plan with Caddy as its authority, without a DNS server of ours to look names up at.
fn plan(house: &House, folder: &Folder, caddy: &Caddy) -> Plan {
    let mut plan = Plan::new(house, folder, &caddy.directory(), caddy.root());
    plan.options.preflight = false;
    plan
}
