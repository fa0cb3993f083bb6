//! What the server answers.

use crate::fault::{Code, Fault};
use crate::text::{one_line, quote};
use std::error;
use std::fmt;

/// The answer to a command: a first line that says `ok` or `err`, and further lines where there is more to tell.
///
/// Whatever it is made of, its lines are the lines that it was given: line ends and invisible characters inside of one
/// are escaped. That holds for a reply that was parsed too, so it may go to a terminal as it is.
///
/// ```
/// use dream_control::Reply;
///
/// let reply = Reply::ok("list 2").with_lines(["a.example 5665", "b.example 5666"]);
/// assert_eq!(reply.to_string(), "ok list 2\na.example 5665\nb.example 5666");
/// assert_eq!(Reply::parse(reply.to_string().as_bytes()), Ok(reply));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    first: Result<String, Refusal>,
    /// Lines without a line end behind the last; none of them is empty.
    body: String,
}

/// What follows `err`: the server understood or not, but it will not do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    code: String,
    detail: String,
}

impl Reply {
    /// `ok`, and `words` behind it: `add example.com 5665`.
    pub fn ok(words: &str) -> Reply {
        Reply::new(Ok(one_line(words.trim())))
    }

    /// `err`, and why. A code is a word for programs: lower-case letters, digits and hyphens.
    pub fn err(code: &'static str, detail: &str) -> Reply {
        debug_assert!(is_code(code), "{code:?} is no code");
        Reply::new(Err(Refusal {
            code: code.to_owned(),
            detail: one_line(detail.trim()),
        }))
    }

    /// The same reply with these lines at its end. Empty ones are left out.
    pub fn with_lines<Line: AsRef<str>>(mut self, lines: impl IntoIterator<Item = Line>) -> Reply {
        for line in lines {
            let line = one_line(line.as_ref());
            if !self.body.is_empty() && !line.is_empty() {
                self.body.push('\n');
            }
            self.body.push_str(&line);
        }
        self
    }

    /// Reads a reply: a datagram, or all that came over a connection. The first line decides, the others are the body.
    ///
    /// # Errors
    /// `not-text` if it is not UTF-8, `bad-reply` if the first line says neither `ok` nor `err` and a code.
    pub fn parse(input: &[u8]) -> Result<Reply, Fault> {
        let not_text = |_| Fault::new(Code::NotText, "the reply is not UTF-8");
        let text = str::from_utf8(input).map_err(not_text)?;
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        let bad = || Fault::new(Code::BadReply, format!("{} is not a reply", quote(first)));
        let first = parse_first(first).ok_or_else(bad)?;
        Ok(Reply::new(first).with_lines(lines))
    }

    /// Does it say `ok`?
    pub fn is_ok(&self) -> bool {
        self.first.is_ok()
    }

    /// The words behind `ok`, or the refusal.
    ///
    /// # Errors
    /// The refusal, of a reply that says `err`.
    pub fn words(&self) -> Result<&str, &Refusal> {
        self.first.as_deref()
    }

    /// The lines behind the first, without a line end at their end.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The reply if it says `ok`.
    ///
    /// # Errors
    /// The refusal, of a reply that says `err`.
    pub fn into_result(self) -> Result<Reply, Refusal> {
        let Reply { first, body } = self;
        first.map(|words| Reply {
            first: Ok(words),
            body,
        })
    }

    fn new(first: Result<String, Refusal>) -> Reply {
        Reply {
            first,
            body: String::new(),
        }
    }
}

impl From<&Fault> for Reply {
    fn from(fault: &Fault) -> Reply {
        Reply::err(fault.code(), fault.detail())
    }
}

/// Without a line end at the end.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.first {
            Ok(words) if words.is_empty() => f.write_str("ok")?,
            Ok(words) => write!(f, "ok {words}")?,
            Err(refusal) => write!(f, "err {refusal}")?,
        }
        if !self.body.is_empty() {
            write!(f, "\n{}", self.body)?;
        }
        Ok(())
    }
}

impl Refusal {
    /// The word for programs: `bad-port`.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// What was wrong, for a person; may be empty.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.code)?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        Ok(())
    }
}

impl error::Error for Refusal {}

fn parse_first(line: &str) -> Option<Result<String, Refusal>> {
    let line = line.trim();
    let (verdict, rest) = line.split_once(' ').unwrap_or((line, ""));
    match verdict {
        "ok" => Some(Ok(one_line(rest.trim()))),
        "err" => parse_refusal(rest.trim()).map(Err),
        _ => None,
    }
}

fn parse_refusal(text: &str) -> Option<Refusal> {
    let (code, detail) = text.split_once(':').unwrap_or((text, ""));
    is_code(code).then(|| Refusal {
        code: code.to_owned(),
        detail: one_line(detail.trim()),
    })
}

fn is_code(code: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !code.is_empty() && code.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn replies_as_they_are_written() {
        let fault = Fault::new(Code::BadPort, "70000 is not 1–65535");
        for (reply, text) in [
            (Reply::ok(""), "ok"),
            (Reply::ok("ping"), "ok ping"),
            (
                Reply::ok("add example.com 5665 waiting"),
                "ok add example.com 5665 waiting",
            ),
            (Reply::from(&fault), "err bad-port: 70000 is not 1–65535"),
            (Reply::err("not-found", ""), "err not-found"),
            (Reply::err("in-use", "a\nok: b"), "err in-use: a\\nok: b"),
            (
                Reply::ok("list").with_lines(["a 1", "", "b\n2"]),
                "ok list\na 1\nb\\n2",
            ),
            (Reply::ok("list").with_lines([""]), "ok list"),
            (
                Reply::err("full", "no room").with_lines(["x"]),
                "err full: no room\nx",
            ),
        ] {
            assert_eq!(reply.to_string(), text);
            assert_eq!(Reply::parse(text.as_bytes()), Ok(reply.clone()), "{text}");
            let line = format!("{text}\r\n");
            assert_eq!(Reply::parse(line.as_bytes()), Ok(reply), "{text}");
        }
    }

    #[test]
    fn what_a_reply_says() {
        let reply = Reply::parse(b"ok list 2\na 1\r\nb\x1b[2J 2\n").unwrap();
        assert!(reply.is_ok());
        assert_eq!(reply.words(), Ok("list 2"));
        assert_eq!(reply.body(), "a 1\nb\\u{1b}[2J 2");
        assert_eq!(reply.clone().into_result(), Ok(reply));

        let reply = Reply::parse(b"err bad-port: 70000: no\nmore").unwrap();
        assert!(!reply.is_ok());
        assert_eq!(reply.body(), "more");
        let refusal = reply.into_result().unwrap_err();
        assert_eq!(
            (refusal.code(), refusal.detail()),
            ("bad-port", "70000: no")
        );
        assert_eq!(refusal.to_string(), "bad-port: 70000: no");
    }

    #[test]
    fn what_is_no_reply() {
        for input in [
            "",
            "\n",
            "\nok",
            "okay",
            "OK",
            "err",
            "err : x",
            "err Bad: x",
            "err a b: x",
            "add example.com 5665",
            "HTTP/1.1 400 Bad Request\r\n\r\n",
        ] {
            let fault = Reply::parse(input.as_bytes()).expect_err(input);
            assert_eq!(fault.code(), "bad-reply", "{input:?}");
        }
        assert_eq!(Reply::parse(b"ok \xff").unwrap_err().code(), "not-text");
    }

    proptest! {
        #[test]
        fn replies_read_back(words in "\\PC*|.*", code in 0..Code::ALL.len(), lines in proptest::collection::vec(".*", 0..4)) {
            let code = Code::ALL[code].as_str();
            for reply in [Reply::ok(&words), Reply::err(code, &words)] {
                let reply = reply.with_lines(&lines);
                prop_assert_eq!(Reply::parse(reply.to_string().as_bytes()), Ok(reply));
            }
        }
    }
}
