//! Every limit and time-out of the server, by name, with its default and the reason for it.

use crate::options::{Count, Size, Time, options};
use std::time::Duration;

options! {
    /// Bounds on what peers may ask for.
    pub struct Limits in "[limits]" {
        /// Bytes of a request head → 431. HAProxy's and Caddy's order of size; cookies fit, attacks do not.
        pub head: usize as Size = "16 KiB",
        /// Fields of a request head → 431.
        pub fields: usize as Count = 100,
        /// Bytes of a request target → 414.
        pub target: usize as Size = "8 KiB",
        /// Bytes of a request body → 413 before the endpoint is contacted. No cap by default: a cap breaks uploads.
        pub max_body: Option<u64> as Size = none,
        /// Connections of the process; by default (nofile − 256 − 192 a core) / 2.
        pub connections: Option<usize> as Count = none,
        /// Connections of one client address (IPv6: one /64); loopback, unix and `trusted_proxies` are free.
        pub connections_per_address: usize as Count = 256,
        /// Bytes of an endpoint's response head → 502.
        pub response_head: usize as Size = "64 KiB",
        /// Idle connections kept per endpoint and core; those beyond it are closed when nobody needed them for a second.
        pub pool: usize as Count = 32,
        /// Bytes of hot small files kept in memory per core. A change takes a restart, as with the next two.
        pub file_store: usize as Size = "32 MiB",
        /// Bytes of compressed versions of files that are kept in memory, for all cores together; `0` makes none.
        pub compressed_store: usize as Size = "64 MiB",
        /// Bytes of them that are kept in the folder of the state, where there is one, so that a restart need not make them again.
        pub compressed_disk: u64 as Size = "256 MiB",
    }

    /// Bounds on how long peers may take.
    pub struct Timeouts in "[timeouts]" {
        /// A TLS handshake (h2o). A connection that is not secure by then ends.
        pub tls_handshake: Duration as Time = "10s",
        /// A whole request head → 408. h2o and sozu; the 60 s of others invite slow attacks.
        pub head: Duration as Time = "10s",
        /// Grace before `body_rate` counts.
        pub body_grace: Duration as Time = "20s",
        /// Bytes a second that a request body must bring after the grace (Apache's mod_reqtimeout); a total cap would break long uploads.
        pub body_rate: u64 as Size = 500,
        /// Response bytes without progress.
        pub write: Duration as Time = "60s",
        /// An idle connection between requests (nginx).
        pub keep_alive: Duration as Time = "75s",
        /// A tunnel without a byte in either direction (HAProxy).
        pub tunnel: Duration as Time = "1h",
        /// From the signal to the end, for exchanges in flight.
        pub drain: Duration as Time = "30s",
        /// After another process has taken over, for exchanges in flight: long downloads and tunnels may end in peace.
        pub takeover_drain: Duration as Time = "1h",
        /// Lingering close after an early answer: without a byte (nginx).
        pub linger: Duration as Time = "5s",
        /// Lingering close after an early answer: in all (nginx).
        pub linger_total: Duration as Time = "30s",
        /// Connecting to an endpoint. The handshake with one that is spoken to over TLS has as long once more.
        pub connect: Duration as Time = "3s",
        /// From the request to the endpoint's response head → 504.
        pub response_head: Duration as Time = "60s",
        /// The endpoint's response body without a byte; none for event streams.
        pub response_body: Duration as Time = "5min",
        /// An idle connection to an endpoint.
        pub pool: Duration as Time = "60s",
    }
}
