//! What is wrong with a configuration, collected until everything was read.

use super::suggest::nearest;
use super::{Item, Kind};
use std::ops::Range;
use toml::de::{DeTable, DeValue};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The bytes of the file that it is about.
    pub span: Range<usize>,
    /// What is wrong, in one line.
    pub message: String,
    /// What stands beside the caret.
    pub label: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Another place that has to do with it, and how.
    pub also: Option<(Range<usize>, String)>,
}

impl Problem {
    /// A problem with what stands at `span`.
    pub fn new(span: Range<usize>, message: impl Into<String>) -> Problem {
        Problem {
            span,
            message: message.into(),
            label: String::new(),
            help: None,
            also: None,
        }
    }

    /// The same with words beside the caret.
    pub fn label(mut self, label: impl Into<String>) -> Problem {
        self.label = label.into();
        self
    }

    /// The same with advice.
    pub fn help(mut self, help: impl Into<String>) -> Problem {
        self.help = Some(help.into());
        self
    }

    /// The same with another place that has to do with it.
    pub fn also(mut self, span: Range<usize>, label: impl Into<String>) -> Problem {
        self.also = Some((span, label.into()));
        self
    }
}

/// The problems found so far in one file.
pub struct Problems<'a> {
    source: &'a str,
    list: Vec<Problem>,
}

impl<'a> Problems<'a> {
    /// No problems yet in `source`.
    pub fn new(source: &'a str) -> Problems<'a> {
        Problems {
            source,
            list: Vec::new(),
        }
    }

    /// Adds one.
    pub fn push(&mut self, problem: Problem) {
        self.list.push(problem);
    }

    /// How many were found.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// All of them, in the order of the file.
    pub fn into_sorted(mut self) -> Vec<Problem> {
        self.list.sort_by_key(|problem| problem.span.start);
        self.list
    }

    /// Reports a value that is not of the kind `K`.
    pub fn mismatch<K: Kind<T>, T>(&mut self, item: &Item<'_>) {
        let found = describe(item.get_ref());
        self.push(
            Problem::new(item.span(), format!("expected {}", K::expects()))
                .label(format!("found {found}")),
        );
    }

    /// The text of a string, with `{env.NAME}` replaced.
    pub fn text(&mut self, item: &Item<'_>) -> Option<String> {
        let text = item.get_ref().as_str()?;
        if !text.contains(ENV) {
            return Some(text.to_owned());
        }
        self.replace_env(text, item.span())
    }

    /// Reports every key of `table` that is not `known`.
    pub fn check_keys(&mut self, table: &DeTable<'_>, path: &str, known: &[&str]) {
        for (key, item) in table {
            if !known.contains(&key.get_ref().as_ref()) {
                self.push(unknown_key(key.get_ref(), key.span(), item, path, known));
            }
        }
    }

    fn replace_env(&mut self, text: &str, span: Range<usize>) -> Option<String> {
        let mut replaced = String::new();
        let mut rest = text;
        let mut complete = true;
        while let Some((before, after)) = rest.split_once(ENV) {
            replaced.push_str(before);
            let Some((name, after)) = after.split_once('}') else {
                self.push(
                    Problem::new(span, "`{env.` without its closing `}`")
                        .help("write `{env.NAME}`"),
                );
                return None;
            };
            match std::env::var(name) {
                Ok(value) => replaced.push_str(&value),
                Err(error) => {
                    let message = match error {
                        std::env::VarError::NotPresent => "is not set",
                        std::env::VarError::NotUnicode(_) => "is not valid UTF-8",
                    };
                    let place = self.place_of(&format!("{ENV}{name}}}"), span.clone());
                    self.push(
                        Problem::new(
                            place,
                            format!("the environment variable `{name}` {message}"),
                        )
                        .label("wanted here")
                        .help(format!("set it before the start: {name}=… dreamserver")),
                    );
                    complete = false;
                }
            }
            rest = after;
        }
        replaced.push_str(rest);
        complete.then_some(replaced)
    }

    /// Where `part` stands within `span`, or all of `span` if escapes hide it.
    fn place_of(&self, part: &str, span: Range<usize>) -> Range<usize> {
        let found = self
            .source
            .get(span.clone())
            .and_then(|text| text.find(part));
        match found {
            Some(at) => span.start + at..span.start + at + part.len(),
            None => span,
        }
    }
}

fn unknown_key(
    key: &str,
    span: Range<usize>,
    item: &Item<'_>,
    path: &str,
    known: &[&str],
) -> Problem {
    let problem = Problem::new(span, format!("unknown option `{key}`"))
        .label(format!("not an option of {path}"));
    let looks_like_host = path.starts_with("[sites") && item.get_ref().as_table().is_some();
    match nearest(key, known) {
        Some(name) => problem.help(format!("did you mean `{name}`?")),
        None if looks_like_host => problem
            .help("a host name has dots, so it is written in quotes: [sites.\"www.example.com\"]"),
        None => problem.help(format!("known here: {}", known.join(", "))),
    }
}

fn describe(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "other text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// How a reference to an environment variable begins.
const ENV: &str = "{env.";
