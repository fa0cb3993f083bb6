//! What the configuration file means, and what is said about a wrong one.

use crate::address::{EndpointAddress, ListenAddress};
use crate::config::{
    AccessLog, Config, HandlerConfig, MiddlewareConfig, RouteConfig, Strip, reference,
};
use crate::exchange::Scheme;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn parse(source: &str) -> Config {
    match Config::parse(source, Path::new("/etc/x/dreamserver.toml")) {
        Ok(config) => config,
        Err(errors) => panic!("{errors}"),
    }
}

#[test]
fn where_certificates_come_from() {
    let acme = parse("").acme;
    assert!(acme.enabled && acme.terms && acme.preflight && acme.budgets);
    assert!(
        acme.authority
            .directory
            .contains("acme-v02.api.letsencrypt.org")
    );
    assert_eq!((acme.http_port, acme.tls_port), (80, 443));
    assert!(!parse("acme = false").acme.enabled);
    let folder = dream_testkit::Folder::new("root");
    let made = rcgen::generate_simple_self_signed(["ca.example.com".to_owned()]).unwrap();
    folder.write("ca.pem", made.cert.pem());
    let acme = Config::parse(
        r#"
        [acme]
        directory = "https://ca.example.com:14000/dir"
        root = "ca.pem"
        contact = ["ann@example.com", "mailto:bob@example.com"]
        resolver = "127.0.0.1:8053"
        wait = "5s"
        eab = { id = "kid-1", key = "zWNDZM6eQGHWpSRTPal5eA" }
        fallback = { directory = "https://acme-v02.api.letsencrypt.org/directory", profile = "shortlived" }
        "#,
        &folder.join("dreamserver.toml"),
    )
    .unwrap()
    .acme;
    assert_eq!(acme.authority.root, Some(folder.join("ca.pem")));
    assert_eq!(
        acme.contact,
        ["mailto:ann@example.com", "mailto:bob@example.com"]
    );
    assert_eq!(acme.resolver, Some("127.0.0.1:8053".parse().unwrap()));
    let eab = acme.authority.eab.as_ref().unwrap();
    assert_eq!((eab.id.as_str(), eab.key.len()), ("kid-1", 16));
    assert!(!format!("{acme:?}").contains("key:"));
    assert_eq!(
        acme.fallback.unwrap().profile.as_deref(),
        Some("shortlived")
    );
}

#[test]
fn certificates_from_nowhere_are_refused() {
    for (source, said) in [
        (
            "acme.directory = 'http://ca.example.com/dir'",
            "not the URL of a directory",
        ),
        (
            "acme.directory = 'ca.example.com'",
            "not the URL of a directory",
        ),
        ("acme.contact = 'ann'", "not an address of mail"),
        ("acme.resolver = '9.9.9.9'", "9.9.9.9:53"),
        ("acme.eab = { id = 'x' }", "`eab` needs an `id` and a `key`"),
        ("acme.eab = { id = 'x', key = '!' }", "this is not a key"),
        (
            "acme.fallback = { profile = 'x' }",
            "`fallback` needs a `directory`",
        ),
        (
            "acme.fallback.directory = 'https://acme-v02.api.letsencrypt.org/directory'",
            "the authority that it is to stand in for",
        ),
        (
            "acme.root = '/none.pem'",
            "/none.pem cannot be used as the root of an authority: No such file",
        ),
        (
            "acme.fallback = { directory = 'https://a.example/dir', root = '/dev/null' }",
            "there is no certificate in it",
        ),
        ("acme = 1", "`true` or `false`"),
    ] {
        let report = refuse(source);
        assert!(report.contains(said), "{source}\n{report}");
    }
}

/// The report of a wrong file.
fn refuse(source: &str) -> String {
    match Config::parse(source, Path::new("x.toml")) {
        Ok(config) => panic!("accepted: {config:?}"),
        Err(errors) => errors.to_string(),
    }
}

fn only_route(config: &Config) -> &RouteConfig {
    let [site] = &config.sites[..] else {
        panic!("one site")
    };
    let [route] = &site.routes[..] else {
        panic!("one route")
    };
    route
}

#[test]
fn nothing_written_is_zero_configuration() {
    let config = parse("");
    assert_eq!(config.listen, [ListenAddress::Any(8080)]);
    assert_eq!(config.limits.head, 16 * 1024);
    assert_eq!(config.limits.max_body, None);
    assert_eq!(config.timeouts.keep_alive, Duration::from_secs(75));
    assert_eq!(config.log.access, AccessLog::Stdout);
    let HandlerConfig::Files(files) = &only_route(&config).handler else {
        panic!("files expected")
    };
    assert_eq!(files.root, Path::new("staticfiles"));
    assert_eq!(files.index, ["index.html"]);
}

#[test]
fn the_example_of_the_guide() {
    let config = parse(
        r#"
        [sites."example.com"]
        proxy = "localhost:5665"

        [sites."static.example.com"]
        files = "/var/www/static"

        [[sites."api.example.com".routes]]
        path = "/v1/*"
        proxy = ["10.0.0.1:80", "10.0.0.2:80"]
        "#,
    );
    let hosts: Vec<String> = config
        .sites
        .iter()
        .map(|site| site.hosts[0].to_string())
        .collect();
    assert_eq!(
        hosts,
        ["example.com", "static.example.com", "api.example.com"]
    );
    let HandlerConfig::Proxy(proxy) = &config.sites[2].routes[0].handler else {
        panic!("proxy expected")
    };
    let endpoint = |host: &str| EndpointAddress::Tcp {
        scheme: Scheme::Http,
        host: host.into(),
        port: 80,
    };
    assert_eq!(
        proxy.endpoints,
        [endpoint("10.0.0.1"), endpoint("10.0.0.2")]
    );
    assert!(proxy.rewrite_redirects && !proxy.follow_redirects);
    assert_eq!(proxy.upgrade, ["websocket"]);
}

#[test]
fn every_table_is_read() {
    let config = parse(
        r#"
        [listen]
        addresses = [":80", "[::1]:81", 82]
        trusted_proxies = ["10.0.0.0/8", "::1"]
        [limits]
        head = "32 KiB"
        max_body = "100 MB"
        connections = "none"
        [timeouts]
        tunnel = "1h 30min"
        body_rate = "1 kB"
        [log]
        access = "logs/access.log"
        format = "json"
        query = false
        "#,
    );
    assert_eq!(config.listen.len(), 3);
    assert_eq!(config.trusted_proxies.len(), 2);
    assert_eq!(config.limits.head, 32 * 1024);
    assert_eq!(config.limits.max_body, Some(100_000_000));
    assert_eq!(config.timeouts.tunnel, Duration::from_secs(5400));
    assert_eq!(config.timeouts.body_rate, 1000);
    let log = AccessLog::File(PathBuf::from("/etc/x/logs/access.log"));
    assert_eq!(config.log.access, log);
    let usual = AccessLog::File(PathBuf::from("/var/log/dreamserver/access.log"));
    assert_eq!(parse("log.access = true").log.access, usual);
    assert_eq!(parse("listen = ':1'").listen, [ListenAddress::Any(1)]);
}

#[test]
fn what_a_site_says_holds_for_its_routes() {
    let config = parse(
        r#"
        [sites."a"]
        hosts = ["*.a", "b"]
        max_body = 5
        headers.response.set = { X-A = "site" }
        [[sites."a".routes]]
        path = "/v1/*"
        strip = "/v1/"
        proxy = "5665"
        headers.request.remove = "Cookie"
        [[sites."a".routes]]
        max_body = 6
        files = { root = "www", index = ["a.html", "b.html"], hidden = true }
        "#,
    );
    let [site] = &config.sites[..] else {
        panic!("one site")
    };
    assert_eq!(site.hosts.len(), 3);
    let [proxy, files] = &site.routes[..] else {
        panic!("two routes")
    };
    assert_eq!((proxy.max_body, files.max_body), (Some(5), Some(6)));
    assert_eq!(proxy.strip.as_ref().map(Strip::as_str), Some("/v1"));
    let [
        MiddlewareConfig::Compress(compress),
        MiddlewareConfig::Headers(first),
        MiddlewareConfig::Headers(second),
    ] = &proxy.chain[..]
    else {
        panic!("what is outermost, the site's headers, then the route's")
    };
    assert_eq!(compress.min_size, 512);
    assert_eq!(first.response.set, [("X-A".into(), "site".into())]);
    assert_eq!(second.request.remove, ["Cookie"]);
    let HandlerConfig::Files(files) = &files.handler else {
        panic!("files expected")
    };
    assert_eq!(files.root, Path::new("/etc/x/www"));
}

#[test]
fn all_errors_come_at_once_with_their_places() {
    let report = refuse(
        "lisen = ':80'\n[limits]\nhead = '16 parsecs'\n[acme]\nwait = 1\n[sites.'a b']\nproxy = 'ftp://abc'\n",
    );
    for expected in [
        "unknown option `lisen`",
        "x.toml:1:1",
        "did you mean `listen`?",
        "expected a size",
        "x.toml:3:8",
        "expected a time",
        "x.toml:5:8",
        "this is not a host name",
        "endpoints do not speak `ftp`",
        "x.toml:7:9",
        "^^^^^^^^^^^",
    ] {
        assert!(
            report.contains(expected),
            "{expected} is missing in:\n{report}"
        );
    }
    assert_eq!(report.matches("error: ").count(), 5, "{report}");
}

#[test]
fn what_makes_no_sense_is_named() {
    for (source, expected) in [
        ("[sites.a]", "the site serves nothing"),
        (
            "[sites.a]\nproxy = '1'\nfiles = 'x'",
            "`proxy` and `files` cannot both answer",
        ),
        ("[[sites.a.routes]]\npath = '/'", "the route has no handler"),
        ("[sites.a]\nproxy = []", "`proxy` names no endpoint"),
        ("[sites.a]\nproxy = ['1', 'localhost:1']", "is named twice"),
        (
            "[sites.a]\nproxy = '1'\n[sites.'A.']\nproxy = '1'",
            "two sites answer for `a`",
        ),
        (
            "[sites.a]\nproxy = '1'\n[[sites.a.routes]]\nproxy = '2'",
            "two routes match the same",
        ),
        ("[sites.example.com]\nproxy = '1'", "written in quotes"),
        ("[sites.'a:80']\nproxy = '1'", "a host has no port"),
        (
            "[sites.a]\nredirect = { status = 200, to = '/x' }",
            "200 is not the status of a redirect",
        ),
        (
            "[sites.a]\nredirect = { status = 301 }",
            "`redirect` needs a `to`",
        ),
        ("[sites.a]\nredirect = '/{x}'", "`{x}` is not known"),
        (
            "[sites.a]\nrespond = { status = 700 }",
            "700 is not the status of a response",
        ),
        (
            "[sites.a]\nrespond = { status = 204, body = 'x' }",
            "has no body",
        ),
        (
            "[sites.a]\nrespond = 'x'\nheaders.response.set = { 'a b' = 'x' }",
            "this is not a field",
        ),
        (
            "[sites.a]\nrespond = 'x'\nheaders.response.remove = 'Content-Length'",
            "belongs to the protocol",
        ),
        (
            "[sites.a]\nrespond = 'x'\nheaders.request.remove = 'Host'",
            "a request has exactly one Host",
        ),
        (
            "[[sites.a.routes]]\npath = 'v1'\nrespond = ''",
            "a path begins with `/`",
        ),
        (
            "[[sites.a.routes]]\npath = '/x/*'\nstrip = '/y'\nrespond = ''",
            "do not begin with `/y`",
        ),
        (
            "[[sites.a.routes]]\nmethods = 'get'\nrespond = ''",
            "unknown method `get`",
        ),
        (
            "[[sites.a.routes]]\nupgrade = 'x'\nrespond = ''",
            "needs a `proxy`",
        ),
        ("listen = []", "`listen` names no address"),
        ("log.max_size = '1 kB'", "the log is too small"),
        ("limits = 3", "expected a table"),
        ("a = = 1", "x.toml:1:5"),
    ] {
        let report = refuse(source);
        assert!(report.contains(expected), "{source}\n{report}");
    }
}

#[test]
fn errors_at_a_site_are_told_once() {
    let report = refuse(
        "[sites.a]\nheaders.request.remove = 'a b'\nroutes = [{ path = '/', respond = '' }, { respond = '' }]",
    );
    assert_eq!(report.matches("error: ").count(), 1, "{report}");
}

#[test]
fn environment_variables_are_replaced() {
    // Cargo sets this one for every test.
    let config = parse("[sites.a]\nfiles = '{env.CARGO_MANIFEST_DIR}/x'");
    let HandlerConfig::Files(files) = &only_route(&config).handler else {
        panic!("files expected")
    };
    assert_eq!(files.root, Path::new(env!("CARGO_MANIFEST_DIR")).join("x"));
    let report = refuse("[sites.a]\nfiles = '/a/{env.DREAM_NOT_SET}'");
    assert!(
        report.contains("variable `DREAM_NOT_SET` is not set"),
        "{report}"
    );
    assert!(report.contains("x.toml:2:13"), "{report}");
}

#[test]
fn the_committed_reference_is_the_generated_one() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let committed = |name| std::fs::read_to_string(docs.join(name)).unwrap_or_default();
    let advice = "dreamserver reference > docs/reference.md; dreamserver schema > docs/dreamserver.schema.json";
    assert!(
        committed("reference.md") == reference::markdown(),
        "{advice}"
    );
    assert!(
        committed("dreamserver.schema.json") == reference::schema(),
        "{advice}"
    );
}

#[test]
fn announcements_are_on_or_off_or_a_table() {
    let control = |source: &str| parse(source).control;
    let usual = control("");
    assert_eq!(
        (usual.enabled, usual.owners, usual.hosts),
        (true, None, false)
    );
    assert_eq!(control("control = true"), usual);
    assert!(!control("control = false").enabled);
    let hosts = control("[control]\nhosts = true");
    assert!(hosts.enabled && hosts.hosts);
    assert_eq!(control("control.owners = false").owners, Some(false));
    if cfg!(target_os = "linux") {
        assert_eq!(control("[control]\nowners = true").owners, Some(true));
    } else {
        let report = refuse("[control]\nowners = true");
        assert!(report.contains("on Linux only"), "{report}");
    }
    for (source, said) in [
        ("control = \"on\"", "`true` or `false`"),
        ("[control]\nowner = true", "owners"),
        ("[control]\nhosts = 1", "`true` or `false`"),
    ] {
        let report = refuse(source);
        assert!(
            report.contains(said) && report.contains("x.toml:"),
            "{report}"
        );
    }
}
