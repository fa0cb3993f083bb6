//! Field sections from bytes (RFC 9112 §5): the lines of a head behind its first, or trailers.

use super::scan::{skip_blanks, skip_text, skip_token};
use crate::fields::Line;
use crate::{Name, Reason, Reject};
use alloc::vec::Vec;

/// A field section that is being parsed. It stops at any byte and goes on there.
#[derive(Debug, Default)]
pub(super) struct Section {
    /// The lines that are whole; their offsets count from the start of the input.
    pub(super) lines: Vec<Line>,
    place: Place,
    /// The next byte to look at.
    at: usize,
    /// The line that is not whole yet.
    line: Line,
}

/// Where in a line the section stopped.
#[derive(Clone, Copy, Debug, Default)]
enum Place {
    #[default]
    LineStart,
    Name,
    BeforeValue,
    Value,
}

/// What a step found.
enum Step {
    /// Go on with the next place.
    Next,
    /// The section ends before this offset.
    End(usize),
    /// The input ends here.
    More,
}

impl Section {
    /// Begins a section at `input[at]`; keeps memory.
    pub(super) fn begin(&mut self, at: usize) {
        self.lines.clear();
        self.place = Place::LineStart;
        self.at = at;
    }

    /// Goes on parsing; `Some(n)` if the section ends before `input[n]`.
    pub(super) fn parse(&mut self, input: &[u8], max: usize) -> Result<Option<usize>, Reject> {
        loop {
            let step = match self.place {
                Place::LineStart => self.line_start(input, max),
                Place::Name => self.name(input),
                Place::BeforeValue => self.before_value(input),
                Place::Value => self.value(input),
            };
            match step? {
                Step::Next => {}
                Step::End(end) => return Ok(Some(end)),
                Step::More => return Ok(None),
            }
        }
    }

    fn line_start(&mut self, input: &[u8], max: usize) -> Result<Step, Reject> {
        let reason = match input.get(self.at) {
            None => return Ok(Step::More),
            Some(b'\r') => {
                let end = line_end(input, self.at)?;
                return Ok(end.map_or(Step::More, Step::End));
            }
            Some(b'\n') => Reason::LineEnd,
            // RFC 9112 §5.2: a server must refuse obsolete folding or repair it.
            Some(b' ' | b'\t') => Reason::LineFolding,
            Some(_) if self.lines.len() >= max => Reason::TooManyFields,
            Some(_) => {
                self.line.name_at = self.at as u32;
                self.place = Place::Name;
                return Ok(Step::Next);
            }
        };
        Err(Reject::new(reason, self.at))
    }

    fn name(&mut self, input: &[u8]) -> Result<Step, Reject> {
        self.at = skip_token(input, self.at);
        let start = self.line.name_at as usize;
        let reason = match input.get(self.at) {
            None => return Ok(Step::More),
            Some(b':') if self.at > start => match u16::try_from(self.at - start) {
                Ok(len) => {
                    self.line.name_len = len;
                    self.line.name = Name::find(&input[start..self.at]);
                    self.at += 1;
                    self.place = Place::BeforeValue;
                    return Ok(Step::Next);
                }
                Err(_) => Reason::HeadTooLarge,
            },
            // RFC 9112 §5.1: a blank before the colon has led to smuggling.
            Some(b' ' | b'\t') => Reason::SpaceBeforeColon,
            Some(_) => Reason::FieldName,
        };
        Err(Reject::new(reason, self.at))
    }

    fn before_value(&mut self, input: &[u8]) -> Result<Step, Reject> {
        self.at = skip_blanks(input, self.at);
        if self.at == input.len() {
            return Ok(Step::More);
        }
        self.line.value_at = self.at as u32;
        self.place = Place::Value;
        Ok(Step::Next)
    }

    fn value(&mut self, input: &[u8]) -> Result<Step, Reject> {
        self.at = skip_text(input, self.at);
        if self.at == input.len() {
            return Ok(Step::More);
        }
        let Some(next) = line_end(input, self.at)? else {
            return Ok(Step::More);
        };
        let mut end = self.at;
        while end > self.line.value_at as usize && matches!(input[end - 1], b' ' | b'\t') {
            end -= 1;
        }
        self.line.value_len = end as u32 - self.line.value_at;
        self.lines.push(self.line);
        self.at = next;
        self.place = Place::LineStart;
        Ok(Step::Next)
    }
}

/// The offset behind the CRLF at `at`, `None` if the line feed is still to come. A lone CR or LF
/// is refused where it stands (RFC 9112 §2.2 lets a lone LF pass; others read it otherwise).
pub(super) fn line_end(input: &[u8], at: usize) -> Result<Option<usize>, Reject> {
    match (input[at], input.get(at + 1)) {
        (b'\r', Some(b'\n')) => Ok(Some(at + 2)),
        (b'\r', None) => Ok(None),
        (b'\r' | b'\n', _) => Err(Reject::new(Reason::LineEnd, at)),
        _ => Err(Reject::new(Reason::FieldValue, at)),
    }
}
