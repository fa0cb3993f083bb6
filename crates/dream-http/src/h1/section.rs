//! Field sections from bytes (RFC 9112 §5): the lines of a head behind its first, or trailers.

use super::scan::{find_colon, skip_blanks, skip_text, skip_token};
use crate::fields::{Line, is_token};
use crate::{Name, Reason, Reject};
use alloc::vec::Vec;

/// A field section that is being parsed. It stops at any byte and goes on there.
#[derive(Debug, Default)]
pub(super) struct Section {
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
    /// Begins a section at `input[at]`.
    pub(super) fn begin(&mut self, at: usize) {
        self.place = Place::LineStart;
        self.at = at;
    }

    /// Goes on parsing; `Some(n)` if the section ends before `input[n]`. Adds each whole line to `lines`, at most `max`; their
    /// offsets count from the start of the input.
    pub(super) fn parse(
        &mut self,
        input: &[u8],
        max: usize,
        lines: &mut Vec<Line>,
    ) -> Result<Option<usize>, Reject> {
        loop {
            let step = match self.place {
                Place::LineStart => {
                    self.whole_lines(input, max, lines);
                    self.line_start(input, lines.len() >= max)
                }
                Place::Name => self.name(input),
                Place::BeforeValue => self.before_value(input),
                Place::Value => self.value(input, lines),
            };
            match step? {
                Step::Next => {}
                Step::End(end) => return Ok(Some(end)),
                Step::More => return Ok(None),
            }
        }
    }

    /// Takes the lines that are whole and plain in one go each. Everything else is left to the steps, which know how to stop in the
    /// middle and what is wrong.
    fn whole_lines(&mut self, input: &[u8], max: usize, lines: &mut Vec<Line>) {
        while lines.len() < max {
            let Some((line, next)) = whole_line(input, self.at) else {
                return;
            };
            lines.push(line);
            self.at = next;
        }
    }

    fn line_start(&mut self, input: &[u8], full: bool) -> Result<Step, Reject> {
        let reason = match input.get(self.at) {
            None => return Ok(Step::More),
            Some(b'\r') => {
                let end = line_end(input, self.at)?;
                return Ok(end.map_or(Step::More, Step::End));
            }
            Some(b'\n') => Reason::LineEnd,
            // RFC 9112 §5.2: a server must refuse obsolete folding or repair it.
            Some(b' ' | b'\t') => Reason::LineFolding,
            Some(_) if full => Reason::TooManyFields,
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
                    self.line.name = Name::find_before(&input[start..], self.at - start);
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

    fn value(&mut self, input: &[u8], lines: &mut Vec<Line>) -> Result<Step, Reject> {
        self.at = skip_text(input, self.at);
        if self.at == input.len() {
            return Ok(Step::More);
        }
        let Some(next) = line_end(input, self.at)? else {
            return Ok(Step::More);
        };
        let end = value_end(input, self.line.value_at as usize, self.at);
        self.line.value_len = end as u32 - self.line.value_at;
        lines.push(self.line);
        self.at = next;
        self.place = Place::LineStart;
        Ok(Step::Next)
    }
}

/// The field line at `at` and the offset behind it, if it is whole and there is nothing wrong with it.
#[inline]
fn whole_line(input: &[u8], at: usize) -> Option<(Line, usize)> {
    let line = input.get(at..)?;
    let colon = find_colon(line)?;
    let name = Name::find_before(line, colon);
    // A known name needs no further look at its bytes.
    if name == Name::Unknown && !is_token(&line[..colon]) {
        return None;
    }
    let value = skip_blanks(line, colon + 1);
    let text_end = skip_text(line, value);
    if line.get(text_end..text_end + 2) != Some(b"\r\n") {
        return None;
    }
    let end = value_end(line, value, text_end);
    let parsed = Line {
        name_at: at as u32,
        name_len: colon as u16,
        name,
        value_at: (at + value) as u32,
        value_len: (end - value) as u32,
        removed: false,
    };
    Some((parsed, at + text_end + 2))
}

/// Where the value ends that ends before `end`, blanks behind it left out.
#[inline]
fn value_end(input: &[u8], start: usize, mut end: usize) -> usize {
    // Nearly every value ends in something visible.
    if end > start && input[end - 1] > b' ' {
        return end;
    }
    while end > start && matches!(input[end - 1], b' ' | b'\t') {
        end -= 1;
    }
    end
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
