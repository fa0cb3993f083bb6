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
    /// The certificates.
    pub certificates: Certificates,
}

/// Some of the certificates, and how many there are.
#[derive(Debug, Serialize)]
pub struct Certificates {
    /// How many there are.
    pub total: usize,
    /// The first of those for names that match what is looked for.
    pub rows: Vec<Certificate>,
}

/// A certificate. What is not known is left out; times are milliseconds since 1970.
#[derive(Debug, Serialize)]
pub struct Certificate {
    /// The name that it is for.
    pub name: String,
    /// Where it comes from: `file`, `local` or `public`.
    pub kind: &'static str,
    /// Who issued it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after: Option<u64>,
    /// When it is renewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renewal: Option<u64>,
    /// Is another one ordered at this moment?
    pub ordered: bool,
    /// The file that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// What failed last, if nothing went well since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// How many attempts failed in a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures: Option<u32>,
    /// When it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
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
