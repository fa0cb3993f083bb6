//! Why there is no certificate, and what to do about it.

use super::folder::Way;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::SystemTime;

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) cause: Cause,
    /// What happened.
    pub(super) text: String,
    /// The next step of whoever looks after the server.
    pub(super) advice: String,
    /// It makes no sense to try before.
    pub(super) not_before: Option<SystemTime>,
    /// The way that the authority was to go.
    pub(super) tried: Option<Way>,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The name does not lead here; no authority will find it otherwise.
    Name,
    /// The authority looked, and did not find us.
    Validation,
    /// The authority does not want to; another one may.
    Authority,
    /// The authority does not answer, or says nothing that makes sense.
    Unreachable,
    /// The authority wants the same question again, with another nonce (RFC 8555 §6.5).
    Nonce,
    /// The authority does not know our account any more.
    Account,
    /// We ourselves cannot, or should not.
    Own,
}

impl Failure {
    pub(super) fn new(cause: Cause, text: impl Into<String>, advice: impl Into<String>) -> Failure {
        Failure {
            cause,
            text: text.into(),
            advice: advice.into(),
            not_before: None,
            tried: None,
        }
    }

    pub(super) fn not_before(self, time: Option<SystemTime>) -> Failure {
        Failure {
            not_before: time,
            ..self
        }
    }

    /// May another authority do better?
    pub(super) fn is_of_authority(&self) -> bool {
        matches!(
            self.cause,
            Cause::Authority | Cause::Unreachable | Cause::Account | Cause::Nonce
        )
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What is remembered of a name whose attempts failed, also on the disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trouble {
    /// How many attempts failed in a row.
    pub(super) failures: u32,
    /// What happened the last time.
    pub(super) error: String,
    /// The next step of whoever looks after the server.
    pub(super) advice: String,
    /// When it is tried again.
    pub(super) next: SystemTime,
    /// The way that the authority was to go, if it has looked.
    pub(super) tried: Option<Way>,
}

impl Trouble {
    /// One more attempt failed.
    pub(super) fn after(failures: u32, failure: &Failure, next: SystemTime) -> Trouble {
        Trouble {
            failures,
            error: failure.text.clone(),
            advice: failure.advice.clone(),
            next,
            tried: failure.tried,
        }
    }

    /// The way to try where nobody knows which works: not the one that failed.
    pub(super) fn next_way(&self) -> Option<Way> {
        self.tried.map(|tried| match tried {
            Way::Http => Way::TlsAlpn,
            Way::TlsAlpn => Way::Http,
        })
    }
}

/// What an authority says went wrong (RFC 8555 §6.7), for people.
pub(super) fn explain(problem: &instant_acme::Problem) -> Failure {
    let kind = problem.r#type.as_deref().unwrap_or_default();
    let kind = kind.rsplit(':').next().unwrap_or_default();
    let detail = detail(problem);
    let (cause, advice) = match kind {
        "rateLimited" => (
            Cause::Authority,
            "nothing is to be done but to wait; a `fallback` authority would step in",
        ),
        "badNonce" => (Cause::Nonce, "it is tried again by itself"),
        "accountDoesNotExist" => (
            Cause::Account,
            "a new account is made with the next attempt",
        ),
        "externalAccountRequired" => (
            Cause::Authority,
            "this authority wants an account that you have there: set `acme.eab`",
        ),
        "userActionRequired" => (
            Cause::Authority,
            "the authority wants you to visit the page that it names",
        ),
        "caa" => (
            Cause::Authority,
            "a CAA record in the DNS forbids this authority for the name: change it, or use another authority",
        ),
        "rejectedIdentifier" | "unsupportedIdentifier" => {
            (Cause::Authority, "this authority does not certify the name")
        }
        "dns" => (
            Cause::Validation,
            "look at the name in the DNS: the authority does not find it",
        ),
        "connection" => (
            Cause::Validation,
            "let the authority reach ports 80 and 443 of this machine from outside",
        ),
        "unauthorized" | "incorrectResponse" | "tls" => (
            Cause::Validation,
            "something else answers by this name from outside: look at its address in the DNS, and at proxies in front",
        ),
        "invalidProfile" => (
            Cause::Authority,
            "the authority does not know `acme.profile`: its directory lists those that it has",
        ),
        _ => (Cause::Authority, "it is tried again by itself"),
    };
    let text = match kind {
        "" => format!("the authority refuses: {detail}"),
        _ => format!("the authority refuses: {detail} ({kind})"),
    };
    Failure::new(cause, text, advice)
}

/// Its words, on one line and not without end: they come from another machine.
fn detail(problem: &instant_acme::Problem) -> String {
    let said = [&problem.detail]
        .into_iter()
        .chain(problem.subproblems.iter().map(|sub| &sub.detail));
    let words: Vec<&str> = said.flatten().map(String::as_str).collect();
    let text = match words.is_empty() {
        true => "without a reason".to_owned(),
        false => words.join("; "),
    };
    text.chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .take(LONGEST)
        .collect()
}

/// Letters of an authority's words that are kept.
const LONGEST: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(kind: &str, detail: &str) -> instant_acme::Problem {
        let json = serde_json::json!({ "type": kind, "detail": detail });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn what_an_authority_says_becomes_a_next_step() {
        let of = |kind: &str| {
            explain(&problem(
                &format!("urn:ietf:params:acme:error:{kind}"),
                "so it is",
            ))
            .cause
        };
        assert_eq!(of("rateLimited"), Cause::Authority);
        assert_eq!(of("connection"), Cause::Validation);
        assert_eq!(of("accountDoesNotExist"), Cause::Account);
        assert_eq!(of("somethingNew"), Cause::Authority);
    }

    #[test]
    fn its_words_are_one_line() {
        let failure = explain(&problem("", &format!("a\nb\x1b[31m{}", "x".repeat(10_000))));
        assert!(
            failure
                .text
                .starts_with("the authority refuses: a b [31mxxx"),
            "{failure}"
        );
        assert!(failure.text.len() < 600);
    }
}
