//! `dreamserver routes`: what goes where, in the order in which it is tried.

use crate::config::{Config, FieldEdits, HandlerConfig, MiddlewareConfig, RouteConfig, Site};
use std::fmt::Write;

/// One block for each site, one line for each route.
pub(super) fn list(config: &Config) -> String {
    let mut sites: Vec<(Vec<String>, &Site)> = config.sites.iter().map(with_hosts).collect();
    sites.sort_by_key(|(_, site)| site.hosts.iter().min().cloned());
    let listen: Vec<String> = config.listen.iter().map(ToString::to_string).collect();
    let mut text = format!("listen {}\n", listen.join(" "));
    for (hosts, site) in sites {
        let mut routes: Vec<&RouteConfig> = site.routes.iter().collect();
        routes.sort_by(|a, b| a.matcher.order(&b.matcher));
        let matchers: Vec<String> = routes.iter().map(|route| matcher(route)).collect();
        let width = matchers
            .iter()
            .map(|text| text.chars().count())
            .max()
            .unwrap_or(0);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\n{}", hosts.join(" "));
        for (route, matcher) in routes.iter().zip(matchers) {
            let _ = writeln!(text, "  {matcher:width$}  →  {}", chain(route));
        }
    }
    text
}

fn with_hosts(site: &Site) -> (Vec<String>, &Site) {
    let mut hosts = site.hosts.clone();
    hosts.sort();
    (hosts.iter().map(ToString::to_string).collect(), site)
}

fn matcher(route: &RouteConfig) -> String {
    let mut text = route.matcher.path.to_string();
    if let Some(methods) = route.matcher.methods {
        let _ = write!(text, " [{methods}]");
    }
    for field in &route.matcher.fields {
        let _ = write!(text, " [{field}]");
    }
    text
}

/// The stations of the route in walking order.
fn chain(route: &RouteConfig) -> String {
    let mut stations: Vec<String> = route.chain.iter().map(middleware).collect();
    if let Some(bytes) = route.max_body {
        stations.push(format!("max_body {bytes}"));
    }
    if let Some(strip) = &route.strip {
        stations.push(format!("strip {}", strip.as_str()));
    }
    stations.push(handler(&route.handler));
    stations.join(" → ")
}

fn middleware(middleware: &MiddlewareConfig) -> String {
    match middleware {
        MiddlewareConfig::Headers(edits) => {
            let count = |edits: &FieldEdits| edits.remove.len() + edits.set.len() + edits.add.len();
            format!(
                "headers ({} in, {} out)",
                count(&edits.request),
                count(&edits.response)
            )
        }
        MiddlewareConfig::ErrorPages(pages) => {
            let statuses = pages.pages.iter();
            let statuses: Vec<String> = statuses.map(|(status, _)| status.to_string()).collect();
            format!("errors {}", statuses.join(" "))
        }
        MiddlewareConfig::Compress(options) => {
            let codings: Vec<&str> = options
                .codings
                .iter()
                .map(|coding| coding.as_str())
                .collect();
            format!("compress {}", codings.join(" "))
        }
        MiddlewareConfig::Clients(clients) => format!("clients {}", clients.ca.display()),
        MiddlewareConfig::Custom(_) => "a middleware of the program".to_owned(),
    }
}

fn handler(handler: &HandlerConfig) -> String {
    match handler {
        HandlerConfig::Files(files) => {
            let upload = files.upload.as_ref();
            let powers = [
                (files.browse, " browse"),
                (upload.is_some(), " upload"),
                (upload.is_some_and(|upload| upload.delete), " delete"),
            ];
            let powers = powers.into_iter().filter(|(is_on, _)| *is_on);
            let powers: String = powers.map(|(_, word)| word).collect();
            format!("files {}{powers}", files.root.display())
        }
        HandlerConfig::Proxy(proxy) => {
            let endpoints: Vec<String> = proxy.endpoints.iter().map(ToString::to_string).collect();
            format!("proxy {}", endpoints.join(" "))
        }
        HandlerConfig::Redirect(redirect) => {
            format!("redirect {} {}", redirect.status, redirect.to.as_str())
        }
        HandlerConfig::Respond(respond) => format!("respond {}", respond.status),
        HandlerConfig::Demo(demo) => format!("demo {}", demo.word()),
        HandlerConfig::Custom(_) => "a handler of the program".to_owned(),
    }
}
