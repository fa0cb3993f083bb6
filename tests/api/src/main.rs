//! Lists what is public in a crate, of which rustdoc has written JSON: one line for each item, in an order that does not change.
//!
//! `scripts/api` runs it. Exit status: 0, or 77 if that JSON is of another version than it can read, or 2 for anything else.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("dream-api: give the JSON that rustdoc wrote");
        return ExitCode::from(2);
    };
    match listing(Path::new(&path)) {
        Ok(listing) => {
            print!("{listing}");
            ExitCode::SUCCESS
        }
        Err(Problem::Version(version)) => {
            let known = rustdoc_types::FORMAT_VERSION;
            eprintln!(
                "this rustdoc writes version {version} of its JSON, tests/api reads version {known}: it needs other versions of \
                 public-api and rustdoc-types"
            );
            ExitCode::from(77)
        }
        Err(Problem::Other(problem)) => {
            eprintln!("dream-api: {}: {problem}", path.display());
            ExitCode::from(2)
        }
    }
}

/// Why there is no listing.
enum Problem {
    /// The JSON is of this version.
    Version(u64),
    Other(String),
}

impl<E: std::error::Error> From<E> for Problem {
    fn from(error: E) -> Problem {
        Problem::Other(error.to_string())
    }
}

fn listing(path: &Path) -> Result<String, Problem> {
    let json: serde_json::Value = serde_json::from_slice(&fs::read(path)?)?;
    let version = json["format_version"].as_u64().unwrap_or_default();
    if version != u64::from(rustdoc_types::FORMAT_VERSION) {
        return Err(Problem::Version(version));
    }
    let api = public_api::Builder::from_rustdoc_json(path)
        .omit_blanket_impls(true)
        .build()?;
    Ok(essence(api.items().map(ToString::to_string)))
}

/// The lines that tell something: not the functions of a trait where a type has it, nor traits that are nobody's choice.
fn essence(lines: impl Iterator<Item = String>) -> String {
    let mut kept = String::new();
    // What the functions of the trait that was seen last begin with.
    let mut implied = None;
    for line in lines {
        if let Some(implementation) = Implementation::of(&line) {
            implied = Some(format!("fn {}::", implementation.target));
            if UNTOLD
                .iter()
                .any(|name| implementation.names.ends_with(name))
            {
                continue;
            }
        } else if line.starts_with("impl") {
            implied = None;
        } else if implied
            .as_ref()
            .is_some_and(|implied| line.contains(implied))
        {
            continue;
        }
        kept.push_str(&line);
        kept.push('\n');
    }
    kept
}

/// `impl Trait for Target`.
struct Implementation<'a> {
    names: &'a str,
    target: &'a str,
}

impl Implementation<'_> {
    fn of(line: &str) -> Option<Implementation<'_>> {
        let (names, target) = line.strip_prefix("impl")?.split_once(" for ")?;
        let target = target.split(" where ").next().unwrap_or(target);
        Some(Implementation { names, target })
    }
}

/// Traits that the compiler gives to a type, and nobody has asked for. `Send` and `Sync` are not among them: without one of these a type
/// cannot be used where it could.
const UNTOLD: [&str; 6] = [
    "marker::Freeze",
    "marker::StructuralPartialEq",
    "marker::UnsafeUnpin",
    "marker::Unpin",
    "unwind_safe::RefUnwindSafe",
    "unwind_safe::UnwindSafe",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_implied_is_left_out() {
        let lines = [
            "pub struct a::B",
            "impl a::B",
            "pub fn a::B::new() -> a::B",
            "impl core::fmt::Debug for a::B",
            "pub fn a::B::fmt(&self, &mut core::fmt::Formatter<'_>) -> core::fmt::Result",
            "impl<T> core::ops::deref::Deref for a::C<T> where T: a::D",
            "pub type a::C<T>::Target = T",
            "pub fn a::C<T>::deref(&self) -> &T",
            "impl core::marker::Unpin for a::B",
            "impl !core::marker::Send for a::B",
            "pub fn a::announce()",
        ];
        let kept = essence(lines.iter().map(ToString::to_string));
        let left = [0, 1, 2, 3, 5, 6, 9, 10].map(|line| lines[line]);
        assert_eq!(kept.lines().collect::<Vec<_>>(), left);
    }
}
