//! What the fuzz target calls, and the tests that replay its corpus: the properties that hold for every input. A
//! breach panics.

use crate::{Command, Fault, MAX_COMMAND, Reply};

/// Any bytes as a command, and as a reply.
pub fn announcement(input: &[u8]) {
    match Command::parse(input) {
        Ok(command) => reads_back(&command),
        Err(fault) => is_one_line(&fault),
    }
    match Reply::parse(input) {
        Ok(reply) => assert_eq!(Reply::parse(reply.to_string().as_bytes()), Ok(reply)),
        Err(fault) => is_one_line(&fault),
    }
}

/// The text of a command means that command, whatever stands around it.
fn reads_back(command: &Command) {
    let text = command.to_string();
    assert!(!text.contains(|c: char| c.is_control()), "{text:?}");
    assert_eq!(Command::parse(text.as_bytes()).as_ref(), Ok(command));
    for line in [
        format!("{text}\n"),
        format!("\t{text} \r\n"),
        text.replace(' ', " \t "),
    ] {
        // Blanks count for the length.
        if line.trim_end().len() < MAX_COMMAND {
            assert_eq!(Command::parse(line.as_bytes()).as_ref(), Ok(command));
        }
    }
}

/// A fault makes a reply that says the same and nothing else.
fn is_one_line(fault: &Fault) {
    let reply = Reply::from(fault);
    let text = reply.to_string();
    assert_eq!(text, format!("err {fault}"));
    assert!(text.len() < LONGEST_FAULT, "{text}");
    assert!(!text.contains(|c: char| c.is_control()), "{text:?}");
    assert_eq!(Reply::parse(text.as_bytes()), Ok(reply));
}

/// A quotation of 64 characters, each written as `\u{10ffff}`, and the words around it.
const LONGEST_FAULT: usize = 64 * 10 + 200;
