//! Any program can afford this crate: it has no dependency and no unsafe code.
#![allow(
    clippy::unwrap_used,
    reason = "tests: a failed unwrap is a failed test"
)]

use std::fs;
use std::path::Path;

#[test]
fn nothing_but_std() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lib = fs::read_to_string(root.join("src/lib.rs")).unwrap();
    assert!(lib.contains("#![forbid(unsafe_code)]"));

    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    for line in manifest.lines().filter(|line| line.starts_with('[')) {
        let known = ["[package]", "[dev-dependencies]", "[lints]"].contains(&line);
        assert!(known, "{line}");
    }
}
