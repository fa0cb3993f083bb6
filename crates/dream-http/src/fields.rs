//! A list of fields over one buffer: forwarded as it came, edited by marking and appending.

use crate::h1::scan::skip_text;
use crate::name::NameFilter;
use crate::{Name, NameSet};
use alloc::vec::Vec;
use core::ops::Range;

/// Where some text of a head stands in its buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) at: u32,
    pub(crate) len: u32,
}

impl Span {
    pub(crate) fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.at as usize..(self.at + self.len) as usize]
    }
}

/// One line of the list. 16 bytes, so that four share a cache line.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Line {
    pub(crate) name_at: u32,
    pub(crate) value_at: u32,
    pub(crate) value_len: u32,
    pub(crate) name_len: u16,
    pub(crate) name: Name,
    pub(crate) removed: bool,
}

/// One field of a message, as seen by a reader of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as a number, [`Name::Unknown`] for one that is not in the list.
    pub name: Name,
    /// The name as it was written.
    pub text: &'a [u8],
    /// The value without surrounding blanks.
    pub value: &'a [u8],
}

/// A name that is no `token` (RFC 9110 §5.6.2) or a value with a byte that may not stand in one
/// (RFC 9110 §5.5): our own code or a configuration asked for a field that cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidField;

impl core::fmt::Display for InvalidField {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("not a field: a name is made of letters, digits and !#$%&'*+-.^_`|~, a value has no control characters")
    }
}

impl core::error::Error for InvalidField {}

/// The fields of a head or of a trailer section, in order, over one buffer.
///
/// Invariant: every span lies within `bytes`, names are tokens, values hold no CR, LF or NUL, and `names` may have the name of every line.
#[derive(Debug, Default)]
pub struct Fields {
    pub(crate) bytes: Vec<u8>,
    pub(crate) lines: Vec<Line>,
    /// So that most questions for a field that is not there need no look at the lines.
    names: NameFilter,
}

impl Clone for Fields {
    fn clone(&self) -> Fields {
        Fields {
            bytes: self.bytes.clone(),
            lines: self.lines.clone(),
            names: self.names,
        }
    }

    /// Copies into the memory that is there.
    fn clone_from(&mut self, other: &Fields) {
        self.bytes.clone_from(&other.bytes);
        self.lines.clone_from(&other.lines);
        self.names = other.names;
    }
}

impl Fields {
    /// An empty list.
    pub fn new() -> Fields {
        Fields::default()
    }

    /// Forgets everything and keeps the memory for the next head.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.lines.clear();
        self.names = NameFilter::default();
    }

    /// Bytes of memory that are held for use and reuse.
    pub fn memory(&self) -> usize {
        self.bytes.capacity() + self.lines.capacity() * size_of::<Line>()
    }

    /// The fields that are there, in order.
    pub fn iter(&self) -> impl Iterator<Item = Field<'_>> {
        self.lines
            .iter()
            .filter(|line| !line.removed)
            .map(|line| self.field(line))
    }

    /// How many fields are there.
    pub fn len(&self) -> usize {
        self.lines.iter().filter(|line| !line.removed).count()
    }

    /// Is there no field?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of the first field named `name`.
    pub fn get(&self, name: Name) -> Option<&[u8]> {
        self.get_all(name).next()
    }

    /// The values of all fields named `name`, in order.
    pub fn get_all(&self, name: Name) -> impl Iterator<Item = &[u8]> {
        self.lines_of(name)
            .iter()
            .filter(move |line| line.name == name && !line.removed)
            .map(|line| self.field(line).value)
    }

    /// The value of the first field that is written `text` in any case, known or not.
    pub fn find(&self, text: &[u8]) -> Option<&[u8]> {
        self.iter()
            .find(|field| field.text.eq_ignore_ascii_case(text))
            .map(|field| field.value)
    }

    /// The value of the first line named `name`, removed or not: what the sender wrote.
    pub(crate) fn first(&self, name: Name) -> Option<&[u8]> {
        let line = self.lines_of(name).iter().find(|line| line.name == name)?;
        Some(self.value(line))
    }

    /// Is the first line named `name` still there, as the sender wrote it?
    pub(crate) fn has_first(&self, name: Name) -> bool {
        let line = self.lines_of(name).iter().find(|line| line.name == name);
        line.is_some_and(|line| !line.removed)
    }

    /// The lines among which those named `name` are; none if there is none.
    fn lines_of(&self, name: Name) -> &[Line] {
        match self.names.may_have(name) {
            true => &self.lines,
            false => &[],
        }
    }

    /// Is there a field named `name`?
    pub fn has(&self, name: Name) -> bool {
        self.get(name).is_some()
    }

    /// Does a comma-separated list field hold `token`, in any case? (RFC 9110 §5.6.1)
    pub fn has_token(&self, name: Name, token: &[u8]) -> bool {
        let is_it = |member: &[u8]| member.eq_ignore_ascii_case(token);
        // Most lists have one member.
        let mut values = self.get_all(name);
        values.any(|value| is_it(value) || list_members(value).any(is_it))
    }

    /// Removes every field named `name`; tells whether there was one.
    pub fn remove(&mut self, name: Name) -> bool {
        self.names.may_have(name) && self.remove_where(|field| field.name == name)
    }

    /// Removes every field with one of these names.
    pub fn remove_all(&mut self, names: NameSet) {
        if self.names.may_meet(names) {
            for line in &mut self.lines {
                line.removed |= names.has(line.name);
            }
        }
    }

    /// Removes the fields with a name that is not known, for which `unwanted` says so.
    pub fn remove_unknown(&mut self, mut unwanted: impl FnMut(&[u8]) -> bool) {
        if self.names.may_have(Name::Unknown) {
            self.remove_where(|field| field.name == Name::Unknown && unwanted(field.text));
        }
    }

    /// Removes every field that is written `text` in any case; tells whether there was one.
    pub fn remove_text(&mut self, text: &[u8]) -> bool {
        self.remove_where(|field| field.text.eq_ignore_ascii_case(text))
    }

    /// Removes every field for which `unwanted` says so; tells whether there was one.
    pub fn remove_where(&mut self, mut unwanted: impl FnMut(Field<'_>) -> bool) -> bool {
        let Fields { bytes, lines, .. } = self;
        let mut any = false;
        for line in lines.iter_mut().filter(|line| !line.removed) {
            line.removed = unwanted(field_of(bytes, line));
            any |= line.removed;
        }
        any
    }

    /// Adds a field whose value our own code made.
    ///
    /// # Errors
    /// [`InvalidField`] if the value may not stand in a field; nothing is added then.
    pub fn append(&mut self, name: Name, value: &[u8]) -> Result<(), InvalidField> {
        self.push(name, name.as_str().as_bytes(), value)
    }

    /// Adds a field with a name that may be unknown.
    ///
    /// # Errors
    /// [`InvalidField`] if name or value may not stand in a field; nothing is added then.
    pub fn append_text(&mut self, text: &[u8], value: &[u8]) -> Result<(), InvalidField> {
        self.push(Name::find(text), text, value)
    }

    /// Puts one field in the place of all that are named `name`.
    ///
    /// # Errors
    /// [`InvalidField`] if the value may not stand in a field; nothing is changed then.
    pub fn set(&mut self, name: Name, value: &[u8]) -> Result<(), InvalidField> {
        self.append(name, value)?;
        let kept = self.lines.len() - 1;
        for line in &mut self.lines[..kept] {
            line.removed |= line.name == name;
        }
        Ok(())
    }

    /// Writes `Name: value` and CRLF for each field, without the empty line that ends a section.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        self.write_except(NameSet::default(), out);
    }

    /// Writes all lines but those with one of the names `left_out`. Most lines are whole in the buffer already, side by side: such runs are
    /// copied in one go.
    pub(crate) fn write_except(&self, left_out: NameSet, out: &mut Vec<u8>) {
        let mut run = 0..0;
        for line in &self.lines {
            if line.removed || left_out.has(line.name) {
                continue;
            }
            match self.whole(line) {
                Some(whole) if whole.start == run.end => run.end = whole.end,
                Some(whole) => {
                    out.extend_from_slice(&self.bytes[run]);
                    run = whole;
                }
                None => {
                    out.extend_from_slice(&self.bytes[run]);
                    run = 0..0;
                    let field = self.field(line);
                    write_field(field.text, field.value, out);
                }
            }
        }
        out.extend_from_slice(&self.bytes[run]);
    }

    /// Where the line stands in the buffer, if it stands there as [`write_field`] would write it: with one space behind the colon
    /// and nothing behind the value.
    fn whole(&self, line: &Line) -> Option<Range<usize>> {
        let start = line.name_at as usize;
        let value = line.value_at as usize;
        let end = value + line.value_len as usize;
        let as_written = value == start + line.name_len as usize + 2
            && self.bytes.get(value - 1) == Some(&b' ')
            && self.bytes.get(end..end + 2) == Some(b"\r\n");
        as_written.then_some(start..end + 2)
    }

    /// Adds every field of `other`, at the cost of one.
    pub fn extend(&mut self, other: &Fields) {
        let shift = self.bytes.len() as u32;
        self.bytes.extend_from_slice(&other.bytes);
        self.lines.extend(other.lines.iter().map(|line| Line {
            name_at: line.name_at + shift,
            value_at: line.value_at + shift,
            ..*line
        }));
        self.names.join(other.names);
    }

    fn push(&mut self, name: Name, text: &[u8], value: &[u8]) -> Result<(), InvalidField> {
        let name_len = u16::try_from(text.len()).map_err(|_| InvalidField)?;
        let is_name = name != Name::Unknown || is_token(text);
        if !is_name || skip_text(value, 0) < value.len() {
            return Err(InvalidField);
        }
        let name_at = self.bytes.len() as u32;
        self.lines.push(Line {
            name_at,
            value_at: name_at + u32::from(name_len) + 2,
            value_len: value.len() as u32,
            name_len,
            name,
            removed: false,
        });
        self.names.insert(name);
        write_field(text, value, &mut self.bytes);
        Ok(())
    }

    /// Gives the parsed lines, whose offsets point into `bytes`, their bytes.
    pub(crate) fn fill(&mut self, bytes: &[u8]) {
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
        self.note_names();
    }

    /// Notes the names of the lines, after they were parsed.
    pub(crate) fn note_names(&mut self) {
        self.names = NameFilter::default();
        for line in &self.lines {
            self.names.insert(line.name);
        }
    }

    /// Adds text to the buffer. Heads are bounded far below 4 GiB, so the offsets fit.
    pub(crate) fn push_bytes(&mut self, text: &[u8]) -> Span {
        let span = Span {
            at: self.bytes.len() as u32,
            len: text.len() as u32,
        };
        self.bytes.extend_from_slice(text);
        span
    }

    /// The value of one of the lines.
    pub(crate) fn value(&self, line: &Line) -> &[u8] {
        let at = line.value_at as usize;
        &self.bytes[at..at + line.value_len as usize]
    }

    fn field(&self, line: &Line) -> Field<'_> {
        field_of(&self.bytes, line)
    }
}

fn field_of<'a>(bytes: &'a [u8], line: &Line) -> Field<'a> {
    let name_at = line.name_at as usize;
    let value_at = line.value_at as usize;
    Field {
        name: line.name,
        text: &bytes[name_at..name_at + line.name_len as usize],
        value: &bytes[value_at..value_at + line.value_len as usize],
    }
}

/// Writes one field line.
fn write_field(text: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.reserve(text.len() + value.len() + 4);
    out.extend_from_slice(text);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// The members of a comma-separated list without surrounding blanks, empty ones left out
/// (RFC 9110 §5.6.1.2). Quoted strings are not looked into: no list we read has any.
pub(crate) fn list_members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b',')
        .map(trim_blanks)
        .filter(|member| !member.is_empty())
}

/// `value` without the blanks (space and tab) around it.
pub(crate) fn trim_blanks(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Is `text` a token? (RFC 9110 §5.6.2)
pub(crate) fn is_token(text: &[u8]) -> bool {
    // Without a branch for each byte: most texts are tokens.
    let tokens = text
        .iter()
        .fold(true, |tokens, &byte| tokens & TOKEN[byte as usize]);
    tokens && !text.is_empty()
}

/// [`is_token_byte`] for every byte.
pub(crate) static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = is_token_byte(byte as u8);
        byte += 1;
    }
    table
};

/// May `byte` stand in a token? (RFC 9110 §5.6.2)
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// May `byte` stand in a field value? Visible characters, blanks and obs-text (RFC 9110 §5.5).
pub(crate) const fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}
