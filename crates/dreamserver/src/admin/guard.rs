//! Who may see the view, and who may change something by it.
//!
//! Every page on the web can have the browser of whoever looks at it send requests here. So a request must name this machine as its
//! host (or else a name of the attacker's leads here: DNS rebinding), and a change must come from a page of ours: the
//! browser says where it comes from, and only such a page knows the token.

use crate::exchange::Request;
use dream_http::Name;
use std::fs::File;
use std::io::{self, Read};

/// Where the token stands in a request for a change.
pub(super) const TOKEN_FIELD: &[u8] = b"Dream-Token";

/// Holds what only our own pages know.
pub(super) struct Guard {
    token: String,
}

/// Why a request is not answered as it would like to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) sentence: &'static str,
}

impl Guard {
    /// A guard with a token that nobody can guess.
    pub(super) fn new() -> io::Result<Guard> {
        let mut random = [0; 16];
        File::open("/dev/urandom")?.read_exact(&mut random)?;
        let token = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Guard { token })
    }

    /// What our pages are told.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// Is the request for this machine by its own name?
    pub(super) fn check_host(&self, request: &Request) -> Result<(), Refusal> {
        let port = request.peer.local.port();
        let host = request.head.host();
        let names = ["localhost", "127.0.0.1", "[::1]"];
        let with_port = |name| host.eq_ignore_ascii_case(format!("{name}:{port}").as_bytes());
        let is_ours = names.into_iter().any(|name| {
            with_port(name) || (port == 80 && host.eq_ignore_ascii_case(name.as_bytes()))
        });
        is_ours.then_some(()).ok_or(Refusal {
            status: 421,
            sentence: "This is only at http://localhost, with this port.",
        })
    }

    /// Does the request come from a page of ours, or from no page at all?
    pub(super) fn check_site(&self, request: &Request) -> Result<(), Refusal> {
        let fields = &request.head.fields;
        // Browsers say it of every request, and pages cannot (Fetch Metadata).
        let site = fields.find(b"Sec-Fetch-Site");
        let is_elsewhere = !matches!(site, None | Some(b"same-origin" | b"none"));
        let origin = [b"http://", request.head.host()].concat();
        let other_origin = fields
            .get_all(Name::Origin)
            .any(|said| !said.eq_ignore_ascii_case(&origin));
        match is_elsewhere || other_origin {
            true => Err(Refusal {
                status: 403,
                sentence: "Pages from elsewhere have no business here.",
            }),
            false => Ok(()),
        }
    }

    /// Does whoever sends the request know what our pages know?
    pub(super) fn check_token(&self, request: &Request) -> Result<(), Refusal> {
        let said = request.head.fields.find(TOKEN_FIELD).unwrap_or_default();
        match is_same(said, self.token.as_bytes()) {
            true => Ok(()),
            false => Err(Refusal {
                status: 403,
                sentence: "The page is from before the server was started again: load it anew.",
            }),
        }
    }
}

/// Compares in a time that does not tell where the first difference is.
fn is_same(said: &[u8], known: &[u8]) -> bool {
    let differences = said.iter().zip(known).fold(0, |all, (a, b)| all | (a ^ b));
    said.len() == known.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::{Peer, Scheme};
    use dream_http::RequestHead;
    use dream_http::h1::{Limits, RequestParser};

    fn request(port: u16, fields: &str) -> Request {
        let mut head = RequestHead::new();
        let text = format!("POST /commands HTTP/1.1\r\n{fields}\r\n");
        let parsed = RequestParser::new(Limits::default()).parse(text.as_bytes(), &mut head);
        assert!(matches!(parsed, Ok(Some(_))), "{fields}");
        let ends = [([127, 0, 0, 1], 50_000), ([127, 0, 0, 1], port)].map(Into::into);
        Request {
            peer: Peer::new(ends[0], ends[1], Scheme::Http).into(),
            ..Request::of_nobody(head)
        }
    }

    #[test]
    fn only_names_of_this_machine_lead_here() {
        let guard = Guard::new().unwrap();
        let status = |port, host: &str| {
            let request = request(port, &format!("Host: {host}\r\n"));
            guard
                .check_host(&request)
                .err()
                .map(|refusal| refusal.status)
        };
        for host in [
            "localhost:40608",
            "LOCALHOST:40608",
            "127.0.0.1:40608",
            "[::1]:40608",
        ] {
            assert_eq!(status(40608, host), None, "{host}");
        }
        for host in [
            "localhost",
            "localhost:40609",
            "example.com:40608",
            "localhost.example.com:40608",
            "127.0.0.2:40608",
        ] {
            assert_eq!(status(40608, host), Some(421), "{host}");
        }
        assert_eq!(status(80, "localhost"), None);
    }

    #[test]
    fn pages_from_elsewhere_are_refused() {
        let guard = Guard::new().unwrap();
        for (fields, refused) in [
            ("", false),
            (
                "Origin: http://localhost:1\r\nSec-Fetch-Site: same-origin\r\n",
                false,
            ),
            ("Sec-Fetch-Site: none\r\n", false),
            ("Sec-Fetch-Site: cross-site\r\n", true),
            ("Sec-Fetch-Site: same-site\r\n", true),
            ("Origin: null\r\n", true),
            ("Origin: http://localhost:2\r\n", true),
            ("Origin: https://localhost:1\r\n", true),
            (
                "Origin: http://localhost:1\r\nOrigin: http://evil.example\r\n",
                true,
            ),
        ] {
            let request = request(1, &format!("Host: localhost:1\r\n{fields}"));
            assert_eq!(guard.check_site(&request).is_err(), refused, "{fields}");
        }
    }

    #[test]
    fn the_token_is_known_to_nobody_else() {
        let (guard, other) = (Guard::new().unwrap(), Guard::new().unwrap());
        assert_ne!(guard.token(), other.token());
        for (token, refused) in [
            (guard.token(), false),
            (other.token(), true),
            (&guard.token()[1..], true),
            ("", true),
        ] {
            let request = request(1, &format!("Host: x\r\nDream-Token: {token}\r\n"));
            assert_eq!(guard.check_token(&request).is_err(), refused, "{token}");
        }
    }
}
