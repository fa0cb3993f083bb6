//! Where a name leads.

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::time::timeout;

/// Who is asked.
pub(super) enum Resolver {
    System,
    Server(Box<TokioResolver>),
}

impl Resolver {
    /// This DNS server, or whatever the system asks.
    pub(super) fn new(server: Option<SocketAddr>) -> io::Result<Resolver> {
        let Some(server) = server else {
            return Ok(Resolver::System);
        };
        let at_port = |mut connection: ConnectionConfig| {
            connection.port = server.port();
            connection
        };
        let connections = vec![
            at_port(ConnectionConfig::udp()),
            at_port(ConnectionConfig::tcp()),
        ];
        let server = NameServerConfig::new(server.ip(), true, connections);
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        let mut builder =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let options = builder.options_mut();
        options.ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
        // What is asked is what others see now.
        options.use_hosts_file = ResolveHosts::Never;
        options.cache_size = 0;
        options.timeout = Duration::from_secs(3);
        let resolver = builder.build().map_err(io::Error::other)?;
        Ok(Resolver::Server(Box::new(resolver)))
    }

    /// The addresses of a name; none if it has none.
    ///
    /// # Errors
    /// Whoever is asked does not answer.
    pub(super) async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        timeout(PATIENCE, self.look_up(name)).await?
    }

    async fn look_up(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        match self {
            // With the dot of the root, no domain of ours is appended. The system says no more than that it failed.
            Resolver::System => Ok(tokio::net::lookup_host((format!("{name}."), 0))
                .await
                .map(|found| found.map(|address| address.ip()).collect())
                .unwrap_or_default()),
            Resolver::Server(resolver) => match resolver.lookup_ip(format!("{name}.")).await {
                Ok(found) => Ok(found.iter().collect()),
                Err(NetError::Dns(error)) if NetError::Dns(error.clone()).is_no_records_found() => {
                    Ok(Vec::new())
                }
                Err(error) => Err(io::Error::other(error)),
            },
        }
    }
}

/// How long a look-up may take, with its retries.
const PATIENCE: Duration = Duration::from_secs(10);
