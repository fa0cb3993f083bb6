//! What the guide shows of a terminal is run, and says what the guide says.

use std::fs;
use std::path::Path;
use std::process::Command;

/// A command of a ```` ```console ```` block, and what it prints; `…` stands for anything.
struct Shown {
    line: usize,
    command: String,
    output: String,
}

/// Runs every command that the section `heading` of the guide shows, in `folder`, with `changes` made to the text of it.
#[track_caller]
pub(crate) fn run(heading: &str, folder: &Path, changes: &[(&str, &str)]) {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide.md");
    let guide = changes
        .iter()
        .fold(fs::read_to_string(guide).unwrap(), |text, (from, to)| {
            text.replace(from, to)
        });
    let shown = commands(&guide, heading);
    assert!(!shown.is_empty(), "the guide shows nothing under {heading}");
    for Shown {
        line,
        command,
        output,
    } in shown
    {
        let ran = Command::new("sh")
            .args(["-c", &command])
            .current_dir(folder)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stdout).replace("\r\n", "\n");
        assert!(
            matches(&output, &said),
            "docs/guide.md:{line}: `{command}` should say\n{output}\nand says\n{said}\n{}",
            String::from_utf8_lossy(&ran.stderr)
        );
    }
}

fn commands(guide: &str, heading: &str) -> Vec<Shown> {
    let lines = guide.lines().enumerate();
    let section = lines
        .skip_while(|(_, line)| *line != heading)
        .skip(1)
        .take_while(|(_, line)| !line.starts_with("## "));
    let mut shown: Vec<Shown> = Vec::new();
    let mut is_inside = false;
    for (number, line) in section {
        match line.strip_prefix("$ ") {
            _ if line.starts_with("```") => is_inside = line == "```console",
            Some(command) if is_inside => shown.push(Shown {
                line: number + 1,
                command: command.to_owned(),
                output: String::new(),
            }),
            _ if is_inside => {
                let last = shown.last_mut().expect("a block begins with a command");
                last.output += line;
                last.output.push('\n');
            }
            _ => {}
        }
    }
    shown
}

/// Is `said` what is `expected`, where `…` stands for anything? A line end at the end does not count.
fn matches(expected: &str, said: &str) -> bool {
    let (expected, mut rest) = (expected.trim_end(), said.trim_end());
    let mut pieces = expected.split('…').peekable();
    let mut is_first = true;
    while let Some(piece) = pieces.next() {
        let found = match (is_first, pieces.peek()) {
            (true, None) => (rest == piece).then_some(0),
            (true, Some(_)) => rest.starts_with(piece).then_some(0),
            (false, None) => rest.ends_with(piece).then(|| rest.len() - piece.len()),
            (false, Some(_)) => rest.find(piece),
        };
        let Some(at) = found else {
            return false;
        };
        rest = &rest[at + piece.len()..];
        is_first = false;
    }
    true
}

#[test]
fn an_ellipsis_stands_for_anything() {
    for (expected, said) in [
        ("a", "a\n"),
        ("a…c", "abc"),
        ("…", ""),
        ("a…b…", "a1b2"),
        ("a\n…\nc", "a\nb\nb\nc"),
    ] {
        assert!(matches(expected, said), "{expected} is {said}");
    }
    for (expected, said) in [("a", "ab"), ("a…c", "ab"), ("a…b…c", "acb"), ("ab…b", "ab")] {
        assert!(!matches(expected, said), "{expected} is not {said}");
    }
}
