//! What a route asks of a request: its path, its method, its fields.

use super::PathPattern;
use dream_http::{Fields, Method, Name};
use std::cmp::{Ordering, Reverse};
use std::fmt;

/// What a route asks of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matcher {
    /// Its path.
    pub path: PathPattern,
    /// Its method; all if none is named.
    pub methods: Option<MethodSet>,
    /// Fields that it must have, all of them.
    pub fields: Vec<FieldMatch>,
}

impl Matcher {
    /// Every request with such a path.
    pub fn path(path: PathPattern) -> Matcher {
        Matcher {
            path,
            methods: None,
            fields: Vec::new(),
        }
    }

    /// In which order routes of one path are tried: more fields first, then those that name methods.
    pub(super) fn rank(&self) -> (Reverse<usize>, bool) {
        (Reverse(self.fields.len()), self.methods.is_none())
    }

    /// The order in which routes are tried, where both match: the more specific one is less.
    pub fn order(&self, other: &Matcher) -> Ordering {
        let path = self.path.cmp(&other.path);
        path.then_with(|| self.rank().cmp(&other.rank()))
    }

    /// Could a request of the same path match both, with nothing to tell which goes first?
    pub(super) fn is_ambiguous_with(&self, other: &Matcher) -> bool {
        let both = |a: &MethodSet, b: &MethodSet| a.0 & b.0 != 0;
        let methods = match (&self.methods, &other.methods) {
            (Some(a), Some(b)) => both(a, b),
            _ => true,
        };
        let excluded = |a: &FieldMatch| other.fields.iter().any(|b| a.excludes(b));
        self.rank() == other.rank() && methods && !self.fields.iter().any(excluded)
    }
}

/// A set of known methods. GET stands for HEAD too (RFC 9110 §9.3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MethodSet(u16);

impl MethodSet {
    /// No method.
    pub const EMPTY: MethodSet = MethodSet(0);

    /// The set with `method`; [`Method::Other`] is not a member of any set.
    pub fn with(self, method: Method) -> MethodSet {
        let implied = match method {
            Method::Get => bit(Method::Head),
            _ => 0,
        };
        MethodSet(self.0 | bit(method) | implied)
    }

    /// Is `method` in the set?
    pub fn has(self, method: Method) -> bool {
        self.0 & bit(method) != 0
    }

    /// Is nothing in the set?
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The members of either set.
    pub fn union(self, other: MethodSet) -> MethodSet {
        MethodSet(self.0 | other.0)
    }

    /// The method that configurations call `name`.
    pub fn method(name: &str) -> Option<Method> {
        let known = METHODS.iter().find(|(_, text)| *text == name);
        known.map(|(method, _)| *method)
    }
}

/// As the `Allow` field writes it: `GET, HEAD`.
impl fmt::Display for MethodSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members = METHODS.iter().filter(|(method, _)| self.has(*method));
        for (place, (_, text)) in members.enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{text}")?;
        }
        Ok(())
    }
}

fn bit(method: Method) -> u16 {
    match method {
        Method::Other => 0,
        _ => 1 << method as u16,
    }
}

/// The methods that a route can name. CONNECT and TRACE never reach a route.
const METHODS: &[(Method, &str)] = &[
    (Method::Get, "GET"),
    (Method::Head, "HEAD"),
    (Method::Post, "POST"),
    (Method::Put, "PUT"),
    (Method::Delete, "DELETE"),
    (Method::Options, "OPTIONS"),
    (Method::Patch, "PATCH"),
];

/// A field that a request must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldMatch {
    name: Name,
    text: Box<str>,
    value: Option<Box<str>>,
}

impl FieldMatch {
    /// The field `text`, in any case, with exactly this value, or with any if none is given.
    pub fn new(text: &str, value: Option<&str>) -> FieldMatch {
        FieldMatch {
            name: Name::find(text.as_bytes()),
            text: text.to_ascii_lowercase().into(),
            value: value.map(Into::into),
        }
    }

    pub(super) fn matches(&self, fields: &Fields) -> bool {
        fields.iter().any(|field| {
            field.name == self.name
                && (self.name != Name::Unknown
                    || field.text.eq_ignore_ascii_case(self.text.as_bytes()))
                && self
                    .value
                    .as_ref()
                    .is_none_or(|value| field.value == value.as_bytes())
        })
    }

    /// Is it sure that no request satisfies both? (A request with the field twice is taken for none.)
    fn excludes(&self, other: &FieldMatch) -> bool {
        self.text == other.text
            && matches!((&self.value, &other.value), (Some(a), Some(b)) if a != b)
    }
}

impl fmt::Display for FieldMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}: {value}", self.text),
            None => write!(f, "{}: *", self.text),
        }
    }
}
