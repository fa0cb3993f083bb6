//! The `dreamserver` program.
fn main() {}
