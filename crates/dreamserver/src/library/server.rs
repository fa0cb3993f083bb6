//! A server around a mux, with all that the program has: limits, time-outs, logs, HTTPS, a drain at the end.

use super::Mux;
use crate::address::ListenAddress;
use crate::cli::Plan;
use crate::config::{Config, Site};
use crate::router::{Conflict, HostPattern, SiteRoutes, Table};
use crate::server;
use std::fmt;
use std::net::SocketAddr;
use std::process::ExitCode;

/// A server that has not started.
pub struct Server {
    config: Config,
    problems: Vec<String>,
}

/// Why a server does not start: one line for each thing that is wrong.
#[derive(Debug)]
pub struct Failure(pub(crate) String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl Server {
    /// A server for `mux` on port 8080, with the usual limits, and access lines on standard output.
    pub fn new(mux: Mux) -> Server {
        Server::with_config(Config::empty(), mux)
    }

    /// The same with the configuration that [`Config::parse`] or [`Config::load`] has read. `mux` is there for all hosts that are no
    /// sites of it.
    ///
    /// ```
    /// use dreamserver::{Config, Mux, Server};
    /// use std::path::Path;
    ///
    /// let config = Config::parse("limits.max_body = '10 MB'", Path::new("limits.toml"))?;
    /// let server = Server::with_config(config, Mux::new());
    /// # Ok::<(), dreamserver::ConfigErrors>(())
    /// ```
    pub fn with_config(mut config: Config, mux: Mux) -> Server {
        config.not_found = mux.not_found;
        if !config.chose_sites {
            config.sites.clear();
        }
        config.sites.push(Site {
            hosts: vec![HostPattern::Any],
            routes: mux.routes,
            tls: None,
            errors: None,
        });
        let mut problems = mux.problems;
        problems.extend(conflicts(&config));
        Server { config, problems }
    }

    /// Listens there, and nowhere else: `":8080"`, `"127.0.0.1:0"`. Said again, there too.
    pub fn listen(mut self, address: &str) -> Server {
        match address.parse::<ListenAddress>() {
            Ok(parsed) => {
                if !self.config.chose_listen {
                    self.config.listen.clear();
                }
                self.config.chose_listen = true;
                self.config.listen.push(parsed);
            }
            Err(wrong) => self
                .problems
                .push(format!("the address `{address}`: {wrong}")),
        }
        self
    }

    /// Serves until SIGTERM or Ctrl-C, and then until what is under way has ended; gives the exit code of the process. What goes
    /// wrong is said on standard error.
    pub fn run(self) -> ExitCode {
        match self.plan(true) {
            Ok(plan) => server::run(plan),
            Err(failure) => {
                eprintln!("{failure}");
                ExitCode::from(2)
            }
        }
    }

    /// Serves on threads of its own, until it is told to stop; signals are left to the program.
    ///
    /// # Errors
    /// [`Failure`] with all that is wrong with the mux or the configuration, or why it cannot listen.
    pub fn start(self) -> Result<Running, Failure> {
        server::start(self.plan(false)?)
            .map(Running)
            .map_err(Failure)
    }

    fn plan(self, hears_signals: bool) -> Result<Plan, Failure> {
        if !self.problems.is_empty() {
            return Err(Failure(self.problems.join("\n")));
        }
        Plan::of_program(self.config, hears_signals).map_err(|errors| Failure(errors.render(false)))
    }
}

/// Each pair of patterns that would take the same requests.
fn conflicts(config: &Config) -> Vec<String> {
    let sites = config.sites.iter().map(|site| SiteRoutes {
        hosts: site.hosts.clone(),
        routes: site
            .routes
            .iter()
            .map(|route| (route.matcher.clone(), ()))
            .collect(),
    });
    match Table::build(sites.collect()) {
        Ok(_) => Vec::new(),
        Err(conflicts) => conflicts
            .iter()
            .map(|conflict| said(conflict, config))
            .collect(),
    }
}

fn said(conflict: &Conflict, config: &Config) -> String {
    match conflict {
        Conflict::Host { host, .. } => format!("two sites answer for the host {host}"),
        Conflict::Route {
            site,
            first,
            second,
        } => {
            let path = |route: usize| config.sites[*site].routes[route].matcher.path.to_string();
            format!(
                "the patterns `{}` and `{}` take the same requests",
                path(*first),
                path(*second)
            )
        }
    }
}

/// A server that runs. Dropped, it goes on.
pub struct Running(server::Started);

impl Running {
    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        self.0.addresses()
    }

    /// Takes no more connections, waits until what is under way has ended, for at most the time-out `drain`, and ends.
    pub fn stop(self) {
        self.0.stop();
    }
}
