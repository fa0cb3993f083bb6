//! Every limit and time-out of the server, by name, with its default and the reason for it.

use std::time::Duration;

/// Bounds on what peers may ask for.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a request head → 431. HAProxy's and Caddy's order of size; cookies fit, attacks do not.
    pub head: usize,
    /// Fields of a request head → 431.
    pub fields: usize,
    /// Bytes of a request target → 414.
    pub target: usize,
    /// Bytes of a request body → 413 before the endpoint is contacted. No cap by default: a cap breaks uploads.
    pub max_body: Option<u64>,
    /// Connections of the process; by default (nofile − 256) / 2.
    pub connections: Option<usize>,
    /// Connections of one client address (IPv6: one /64); loopback, unix and `trusted_proxies` are free.
    pub connections_per_address: usize,
    /// Bytes of an endpoint's response head → 502.
    pub response_head: usize,
    /// Idle connections kept per endpoint and core.
    pub pool: usize,
    /// Bytes of hot small files kept in memory per core.
    pub file_store: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            head: 16 * 1024,
            fields: 100,
            target: 8 * 1024,
            max_body: None,
            connections: None,
            connections_per_address: 256,
            response_head: 64 * 1024,
            pool: 32,
            file_store: 32 * 1024 * 1024,
        }
    }
}

/// Bounds on how long peers may take.
#[derive(Clone, Debug)]
pub struct Timeouts {
    /// A whole request head → 408. h2o and sozu; the 60 s of others invite slow attacks.
    pub head: Duration,
    /// Grace before `body_rate` counts.
    pub body_grace: Duration,
    /// Bytes a second that a request body must bring after the grace (Apache's mod_reqtimeout); a total cap would break long uploads.
    pub body_rate: u64,
    /// Response bytes without progress.
    pub write: Duration,
    /// An idle connection between requests (nginx).
    pub keep_alive: Duration,
    /// A tunnel without a byte in either direction (HAProxy).
    pub tunnel: Duration,
    /// From the signal to the end, for exchanges in flight.
    pub drain: Duration,
    /// Lingering close after an early answer: without a byte (nginx).
    pub linger: Duration,
    /// Lingering close after an early answer: in all (nginx).
    pub linger_total: Duration,
    /// Connecting to an endpoint.
    pub connect: Duration,
    /// From the request to the endpoint's response head → 504.
    pub response_head: Duration,
    /// The endpoint's response body without a byte; none for event streams.
    pub response_body: Duration,
    /// An idle connection to an endpoint.
    pub pool: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            head: Duration::from_secs(10),
            body_grace: Duration::from_secs(20),
            body_rate: 500,
            write: Duration::from_secs(60),
            keep_alive: Duration::from_secs(75),
            tunnel: Duration::from_secs(3600),
            drain: Duration::from_secs(30),
            linger: Duration::from_secs(5),
            linger_total: Duration::from_secs(30),
            connect: Duration::from_secs(3),
            response_head: Duration::from_secs(60),
            response_body: Duration::from_secs(300),
            pool: Duration::from_secs(60),
        }
    }
}
