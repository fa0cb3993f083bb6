//! Sets, adds and removes fields of the request and of the response.
//!
//! Fields that frame the message or concern one connection only are the protocol's: editing them would make
//! a message that can be read in two ways, so it is refused when the chain is built.

use dream_http::{Fields, Name};
use std::fmt;

use super::Flow;
use crate::exchange::{Request, Response};

/// What to edit in each direction.
#[derive(Clone, Debug, Default)]
pub struct HeadersOptions {
    /// On the way in.
    pub request: Edits,
    /// On the way out.
    pub response: Edits,
}

/// Edits of one list of fields; done in the order remove, set, add.
#[derive(Clone, Debug, Default)]
pub struct Edits {
    /// Put in the place of all fields with that name.
    pub set: Vec<(String, String)>,
    /// Added to those that are there.
    pub add: Vec<(String, String)>,
    /// Taken away.
    pub remove: Vec<String>,
}

/// The middleware.
#[derive(Clone, Debug)]
pub struct Headers {
    request: Vec<Edit>,
    response: Vec<Edit>,
}

/// One edit that was found to be possible.
#[derive(Clone, Debug)]
pub struct Edit {
    verb: Verb,
    name: Name,
    text: Box<[u8]>,
    value: Box<[u8]>,
}

/// Which way the edited head goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// In.
    Request,
    /// Out.
    Response,
}

/// What an edit does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Takes all fields of that name away.
    Remove,
    /// Puts one in their place.
    Set,
    /// Adds one.
    Add,
}

impl Headers {
    /// Checks every name and value.
    ///
    /// # Errors
    /// The first edit that cannot be, and why.
    pub fn new(options: &HeadersOptions) -> Result<Headers, InvalidEdit> {
        Ok(Headers {
            request: edits(Direction::Request, &options.request)?,
            response: edits(Direction::Response, &options.response)?,
        })
    }

    pub(super) fn on_request(&self, request: &mut Request) -> Flow {
        apply(&self.request, &mut request.head.fields);
        Flow::Continue
    }

    pub(super) fn on_response(&self, response: &mut Response) {
        apply(&self.response, &mut response.head.fields);
    }
}

fn apply(edits: &[Edit], fields: &mut Fields) {
    for edit in edits {
        if edit.verb != Verb::Add {
            match edit.name {
                Name::Unknown => fields.remove_text(&edit.text),
                name => fields.remove(name),
            };
        }
        if edit.verb != Verb::Remove {
            let added = fields.append_text(&edit.text, &edit.value);
            debug_assert!(added.is_ok(), "names and values were checked by Edit::new");
        }
    }
}

fn edits(direction: Direction, edits: &Edits) -> Result<Vec<Edit>, InvalidEdit> {
    let removed = edits
        .remove
        .iter()
        .map(|name| (Verb::Remove, name.as_str(), ""));
    let set = edits
        .set
        .iter()
        .map(|(name, value)| (Verb::Set, name.as_str(), value.as_str()));
    let added = edits
        .add
        .iter()
        .map(|(name, value)| (Verb::Add, name.as_str(), value.as_str()));
    let checked = |(verb, name, value)| Edit::new(direction, verb, name, value);
    removed.chain(set).chain(added).map(checked).collect()
}

impl Edit {
    /// Checks one edit; a `value` means nothing to [`Verb::Remove`].
    ///
    /// # Errors
    /// Why it cannot be.
    pub fn new(
        direction: Direction,
        verb: Verb,
        text: &str,
        value: &str,
    ) -> Result<Edit, InvalidEdit> {
        let (name, value) = (Name::find(text.as_bytes()), value.trim());
        let invalid = |problem| InvalidEdit {
            direction,
            verb,
            name: text.to_owned(),
            problem,
        };
        let may_stand = |value: &str| {
            let mut trial = Fields::new();
            trial.append_text(text.as_bytes(), value.as_bytes()).is_ok()
        };
        let host = (direction, verb) == (Direction::Request, Verb::Set) && !value.is_empty();
        match name {
            _ if !may_stand("") => Err(invalid(EditProblem::Name)),
            _ if !may_stand(value) => Err(invalid(EditProblem::Value)),
            _ if PROTOCOL.contains(&name) => Err(invalid(EditProblem::Protocol)),
            Name::Host if !host => Err(invalid(EditProblem::Host)),
            _ => Ok(Edit {
                verb,
                name,
                text: text.as_bytes().into(),
                value: value.as_bytes().into(),
            }),
        }
    }
}

impl Direction {
    fn as_str(self) -> &'static str {
        match self {
            Direction::Request => "request",
            Direction::Response => "response",
        }
    }
}

impl Verb {
    fn as_str(self) -> &'static str {
        match self {
            Verb::Remove => "remove",
            Verb::Set => "set",
            Verb::Add => "add",
        }
    }
}

/// An edit that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidEdit {
    /// Where it was to be.
    pub direction: Direction,
    /// What it was to do.
    pub verb: Verb,
    /// The name as it was written.
    pub name: String,
    /// Why it cannot be.
    pub problem: EditProblem,
}

/// Why a field cannot be edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditProblem {
    /// The name is not a token (RFC 9110 §5.1).
    Name,
    /// The value has a byte that may not stand in one (RFC 9110 §5.5).
    Value,
    /// The field frames the message or concerns one connection only.
    Protocol,
    /// A request has exactly one Host (RFC 9112 §3.2).
    Host,
}

impl fmt::Display for InvalidEdit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let InvalidEdit {
            direction,
            verb,
            name,
            problem,
        } = self;
        let reason = match problem {
            EditProblem::Name => {
                "this is not a field name, which is made of letters, digits and hyphens"
            }
            EditProblem::Value => "a field value has no line ends or other control characters",
            EditProblem::Protocol => {
                "it belongs to the protocol, because it frames the message or concerns the connection"
            }
            EditProblem::Host => {
                "a request has exactly one Host, so it can only be set, and a response has none"
            }
        };
        let (verb, direction) = (verb.as_str(), direction.as_str());
        write!(f, "cannot {verb} `{name}` in the {direction}: {reason}")
    }
}

impl std::error::Error for InvalidEdit {}

/// Fields of framing (RFC 9112 §6), of one connection (RFC 9110 §7.6.1), and the one that changes how a body is sent.
const PROTOCOL: [Name; 9] = [
    Name::Connection,
    Name::ContentLength,
    Name::Expect,
    Name::KeepAlive,
    Name::ProxyConnection,
    Name::Te,
    Name::Trailer,
    Name::TransferEncoding,
    Name::Upgrade,
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect()
    }

    fn response_edits(edits: Edits) -> Result<Headers, InvalidEdit> {
        Headers::new(&HeadersOptions {
            response: edits,
            ..HeadersOptions::default()
        })
    }

    fn request_edits(edits: Edits) -> Result<Headers, InvalidEdit> {
        Headers::new(&HeadersOptions {
            request: edits,
            ..HeadersOptions::default()
        })
    }

    #[test]
    fn fields_are_removed_set_and_added() {
        let headers = response_edits(Edits {
            set: pairs(&[("server", "mine"), ("X-Own", " 1 ")]),
            add: pairs(&[("Vary", "Origin"), ("X-Gone", "back")]),
            remove: vec!["x-gone".into(), "ETag".into()],
        })
        .unwrap();
        let mut response = Response::new(200);
        let fields = &mut response.head.fields;
        for (name, value) in [
            ("Server", "a"),
            ("SERVER", "b"),
            ("x-own", "0"),
            ("X-Gone", "x"),
            ("ETag", "\"1\""),
            ("Vary", "Accept"),
        ] {
            fields
                .append_text(name.as_bytes(), value.as_bytes())
                .unwrap();
        }
        headers.on_response(&mut response);
        let mut text = Vec::new();
        response.head.fields.write_to(&mut text);
        let expected =
            "Vary: Accept\r\nserver: mine\r\nX-Own: 1\r\nVary: Origin\r\nX-Gone: back\r\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn what_is_the_protocols_is_refused() {
        for name in PROTOCOL {
            let lower = name.as_str().to_ascii_lowercase();
            let set = Edits {
                set: pairs(&[(&lower, "1")]),
                ..Edits::default()
            };
            let remove = Edits {
                remove: vec![lower.clone()],
                ..Edits::default()
            };
            assert_eq!(
                request_edits(set).unwrap_err().problem,
                EditProblem::Protocol,
                "{name:?}"
            );
            assert_eq!(
                response_edits(remove).unwrap_err().problem,
                EditProblem::Protocol,
                "{name:?}"
            );
        }
    }

    #[test]
    fn host_can_be_set_in_requests_only() {
        let set = Edits {
            set: pairs(&[("host", "inner")]),
            ..Edits::default()
        };
        assert!(request_edits(set.clone()).is_ok());
        assert_eq!(response_edits(set).unwrap_err().problem, EditProblem::Host);
        let remove = Edits {
            remove: vec!["Host".into()],
            ..Edits::default()
        };
        assert_eq!(
            request_edits(remove).unwrap_err().problem,
            EditProblem::Host
        );
    }

    #[test]
    fn errors_say_what_and_why() {
        let bad = Edits {
            add: pairs(&[("X-A", "1\r\nX-B: 2")]),
            ..Edits::default()
        };
        let error = response_edits(bad).unwrap_err().to_string();
        let expected = "cannot add `X-A` in the response: a field value has no line ends or other control characters";
        assert_eq!(error, expected);
        let bad = Edits {
            remove: vec!["X A".into()],
            ..Edits::default()
        };
        assert_eq!(request_edits(bad).unwrap_err().problem, EditProblem::Name);
    }

    proptest! {
        #[test]
        fn what_is_accepted_can_be_sent(name in ".{0,12}", value in any::<String>()) {
            let edits = Edits { set: pairs(&[(&name, &value)]), ..Edits::default() };
            if let Ok(headers) = response_edits(edits) {
                let mut response = Response::new(200);
                headers.on_response(&mut response);
                prop_assert_eq!(response.head.fields.len(), 1);
            }
        }
    }
}
