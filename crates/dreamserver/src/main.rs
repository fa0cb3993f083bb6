//! The `dreamserver` program: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    dreamserver::cli::main()
}
