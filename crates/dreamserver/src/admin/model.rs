//! What the view shows, as JSON.

use serde::Serialize;

/// Some of the names, and how many there are.
#[derive(Debug, Serialize)]
pub struct Names {
    /// How many names are announced.
    pub total: usize,
    /// How many of them match what is looked for.
    pub matching: usize,
    /// The first of those.
    pub names: Vec<Name>,
}

/// A name, and how it does. What is not known is left out.
#[derive(Debug, Default, Serialize)]
pub struct Name {
    /// The name.
    pub domain: Box<str>,
    /// The port that it leads to.
    pub port: u16,
    /// The machine, if it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The user that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<u32>,
    /// Seconds since it was announced first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age: Option<u64>,
    /// Whether a connection to the port was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<&'static str>,
    /// Is it still on its way to this port, because nothing answers there yet?
    pub waiting: bool,
    /// Requests since the server was started.
    pub requests: u64,
    /// Those that failed.
    pub failed: u64,
    /// Requests a second, of late.
    pub rate: f64,
    /// Half of the requests were answered in so many milliseconds, of late.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<f64>,
    /// All but one in a hundred were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<f64>,
    /// What failed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// A request that failed.
#[derive(Debug, Serialize)]
pub struct Failure {
    /// Milliseconds since 1970.
    pub when: u64,
    /// The status of the answer.
    pub status: u16,
    /// The request, and why.
    pub text: Box<str>,
}
