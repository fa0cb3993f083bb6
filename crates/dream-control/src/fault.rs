//! Why a command was refused: a code for programs, and a detail for the person who reads it.

use std::error;
use std::fmt;

/// A command, or a part of one, that breaks the grammar. Sending it again does not help.
///
/// It is shown as in `bad-port: 70000 is not 1–65535`: one line, of bounded length, in which nothing that the sender
/// wrote can pass for a line of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    code: Code,
    detail: String,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal),* $(,)?) => {
        /// What kind of fault it is. The words are part of the grammar and stay.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code { $($(#[$doc])* $variant),* }

        impl Code {
            /// Every code there is.
            pub const ALL: &[Code] = &[$(Code::$variant),*];

            /// The code as it is written in a reply.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $text),* }
            }
        }
    };
}

codes! {
    /// There is no word.
    Empty = "empty",
    /// The command has more than [`MAX_COMMAND`](crate::MAX_COMMAND) bytes.
    TooLong = "too-long",
    /// The command is not UTF-8, or has a control character inside.
    NotText = "not-text",
    /// The first word is no command.
    UnknownCommand = "unknown-command",
    /// The domain or the port is not there.
    Missing = "missing",
    /// This is no name of a host.
    BadDomain = "bad-domain",
    /// The port is not a number from 1 to 65535.
    BadPort = "bad-port",
    /// The option is not known, given twice, or has a value that it cannot have.
    BadOption = "bad-option",
    /// There is a word too many.
    Unexpected = "unexpected",
    /// What came back is not a reply.
    BadReply = "bad-reply",
}

impl Fault {
    /// `detail` must be one line: what a stranger wrote went through `quote`.
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Fault {
        let detail = detail.into();
        Fault { code, detail }
    }

    /// The kind of fault, to match on.
    pub fn kind(&self) -> Code {
        self.code
    }

    /// The kind of fault, as it is written in a reply: `bad-port`.
    pub fn code(&self) -> &'static str {
        self.code.as_str()
    }

    /// What was wrong, on one line: `70000 is not 1–65535`.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code(), self.detail)
    }
}

impl error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_detail_are_shown() {
        let fault = Fault::new(Code::BadPort, "70000 is not 1–65535");
        assert_eq!(fault.to_string(), "bad-port: 70000 is not 1–65535");
        assert_eq!(fault.code(), "bad-port");
        assert_eq!(fault.detail(), "70000 is not 1–65535");
    }

    #[test]
    fn codes_are_words_of_their_own() {
        for (at, code) in Code::ALL.iter().enumerate() {
            let text = code.as_str();
            assert!(text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'));
            assert!(Code::ALL[..at].iter().all(|other| other.as_str() != text));
        }
    }
}
