//! The fields that steer the connection, found in one pass over a head.

use super::Framing;
use crate::fields::list_members;
use crate::{Fields, Name, Version};

/// What a head says about host, framing and connection.
pub(super) struct Control<'a> {
    pub(super) host: Once<'a>,
    pub(super) content_length: Once<'a>,
    pub(super) transfer_encoding: Once<'a>,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
}

/// A field that may stand once only. `at` is the offset of the line that breaks or would break a rule.
#[derive(Clone, Copy)]
pub(super) enum Once<'a> {
    Absent,
    One { value: &'a [u8], at: usize },
    Repeated { at: usize },
}

impl<'a> Once<'a> {
    fn add(&mut self, value: &'a [u8], at: usize) {
        *self = match self {
            Once::Absent => Once::One { value, at },
            Once::One { .. } => Once::Repeated { at },
            Once::Repeated { at } => Once::Repeated { at: *at },
        };
    }
}

impl<'a> Control<'a> {
    /// Looks through the fields of a parsed head.
    pub(super) fn find(fields: &'a Fields) -> Control<'a> {
        let mut control = Control {
            host: Once::Absent,
            content_length: Once::Absent,
            transfer_encoding: Once::Absent,
            close: false,
            keep_alive: false,
            expects_continue: false,
        };
        for line in &fields.lines {
            let at = line.name_at as usize;
            match line.name {
                Name::Host => control.host.add(fields.value(line), at),
                Name::ContentLength => control.content_length.add(fields.value(line), at),
                Name::TransferEncoding => control.transfer_encoding.add(fields.value(line), at),
                Name::Connection => control.connection(fields.value(line)),
                Name::Expect => control.expect(fields.value(line)),
                _ => {}
            }
        }
        control
    }

    /// Does the connection stay open after this message? (RFC 9112 §9.3)
    pub(super) fn keep_alive(&self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }

    /// RFC 9110 §10.1.1: a server ignores the expectation in HTTP/1.0; without a body there is nothing to wait for.
    pub(super) fn expects_continue(&self, version: Version, framing: Framing) -> bool {
        let has_body = !matches!(framing, Framing::None | Framing::Length(0));
        self.expects_continue && version == Version::Http11 && has_body
    }

    #[inline(never)]
    fn connection(&mut self, value: &[u8]) {
        // What nearly everyone writes, without a look at each member.
        if value == b"keep-alive" {
            self.keep_alive = true;
            return;
        }
        for option in list_members(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    #[inline(never)]
    fn expect(&mut self, value: &[u8]) {
        self.expects_continue |= value.eq_ignore_ascii_case(b"100-continue");
    }
}
