//! Messages that no one here wrote, where the machine has them.

use std::fs;
use std::path::PathBuf;

use dream_testkit::latin1_bytes;
use serde_json::Value;

/// Where they are, from the workspace's root.
const FOLDER: &str = "../shared/corpora";

/// The lines of a corpus as JSON objects; `None`, and a plain word about it, when it is not there.
pub(crate) fn read(name: &str) -> Option<Vec<Value>> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = root.join(FOLDER).join(name);
    let Ok(text) = fs::read_to_string(&path) else {
        println!("LEFT OUT: {FOLDER}/{name} is not there, seen from the project's root");
        return None;
    };
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let values = lines.map(|line| serde_json::from_str(line).expect("each line is a JSON object"));
    Some(values.collect())
}

/// A string value's bytes: the corpora hold them as Latin-1.
pub(crate) fn bytes(value: &Value) -> Option<Vec<u8>> {
    value.as_str().map(latin1_bytes)
}
