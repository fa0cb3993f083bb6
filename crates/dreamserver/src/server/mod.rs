//! Builds and runs the server.

use crate::cli::Plan;
use std::process::ExitCode;

/// Serves until a signal ends it.
pub fn run(plan: Plan) -> ExitCode {
    let listen: Vec<String> = plan.config.listen.iter().map(ToString::to_string).collect();
    eprintln!(
        "dreamserver: this version cannot listen on {} yet",
        listen.join(" ")
    );
    ExitCode::FAILURE
}
