//! Lets nobody in who was not asked for a certificate.
//!
//! A handshake asks for certificates by the host that it names; a request may name another one, or come without a handshake. What
//! the site's policy would have refused must not get in by such a detour.

use super::Flow;
use crate::error;
use crate::exchange::{PolicyId, Request};

/// The policy of a site.
#[derive(Clone, Debug)]
pub struct Clients {
    policy: PolicyId,
}

impl Clients {
    /// Lets those in whose handshake went by this policy.
    pub fn new(policy: PolicyId) -> Clients {
        Clients { policy }
    }

    pub(super) fn on_request(&self, request: &Request) -> Flow {
        let security = request.peer.security.as_deref();
        match security.map(|security| security.policy) {
            Some(policy) if policy == Some(self.policy) => Flow::Continue,
            // Another connection may do (RFC 9110 §15.5.20).
            Some(_) => answer(request, 421, "This connection was not made for this host."),
            None => answer(
                request,
                403,
                "This host is served over HTTPS only, to clients with a certificate.",
            ),
        }
    }
}

fn answer(request: &Request, status: u16, detail: &str) -> Flow {
    Flow::Answer(Box::new(error::page(status, request, detail)))
}
