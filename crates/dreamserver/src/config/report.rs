//! Shows every error with file, line, the text and a caret.

use crate::options::Problem;
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::string::FromUtf8Error;

/// Everything that is wrong with a configuration; at least one thing.
#[derive(Clone, Debug)]
pub struct Errors {
    path: String,
    source: String,
    problems: Vec<Problem>,
}

impl Errors {
    /// These problems, found in `source`.
    pub(super) fn new(path: &Path, source: &str, problems: Vec<Problem>) -> Errors {
        Errors {
            path: path.display().to_string(),
            source: source.to_owned(),
            problems,
        }
    }

    /// The file cannot be read.
    pub(super) fn unreadable(path: &Path, error: &io::Error) -> Errors {
        let message = format!("cannot read {}: {error}", path.display());
        let mut problem = Problem::new(0..0, message);
        if error.kind() == io::ErrorKind::NotFound {
            problem = problem.help("`--config` names the file; without it ./dreamserver.toml and /etc/dreamserver/dreamserver.toml are looked for");
        }
        Errors::new(path, "", vec![problem])
    }

    /// The file is no text.
    pub(super) fn not_text(path: &Path, error: &FromUtf8Error) -> Errors {
        let at = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes()[..at]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        let message = format!("{}:{line}: the file is not UTF-8", path.display());
        Errors::new(path, "", vec![Problem::new(0..0, message)])
    }

    /// How many errors there are.
    pub(crate) fn count(&self) -> usize {
        self.problems.len()
    }

    /// The report; with colours for a terminal.
    pub fn render(&self, colours: bool) -> String {
        let renderer = if colours {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let reports: Vec<String> = self
            .problems
            .iter()
            .map(|problem| renderer.render(&[self.group(problem)]))
            .collect();
        reports.join("\n\n")
    }

    fn group<'a>(&'a self, problem: &'a Problem) -> Group<'a> {
        let title = Level::ERROR.primary_title(problem.message.as_str());
        let mut group = match self.source.is_empty() {
            true => Group::with_title(title),
            false => title.element(self.snippet(problem)),
        };
        if let Some(help) = &problem.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        group
    }

    fn snippet<'a>(&'a self, problem: &'a Problem) -> Snippet<'a, Annotation<'a>> {
        let primary = AnnotationKind::Primary.span(self.visible(&problem.span));
        let primary = match problem.label.is_empty() {
            true => primary,
            false => primary.label(problem.label.as_str()),
        };
        let snippet = Snippet::source(self.source.as_str())
            .path(self.path.as_str())
            .annotation(primary);
        match &problem.also {
            Some((span, label)) => snippet.annotation(
                AnnotationKind::Context
                    .span(self.visible(span))
                    .label(label.as_str()),
            ),
            None => snippet,
        }
    }

    /// The part of `span` on its first line and on character boundaries: a table's caret needs no more.
    fn visible(&self, span: &Range<usize>) -> Range<usize> {
        let start = self.source.floor_char_boundary(span.start);
        let end = self.source.ceil_char_boundary(span.end.max(start));
        let line = self.source[start..end].lines().next().unwrap_or_default();
        start..start + line.len()
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Errors {}
