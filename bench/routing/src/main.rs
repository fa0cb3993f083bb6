//! Look-ups at random keys in tables of one route to 100,000 against the clock:
//! `cargo run --release --manifest-path bench/routing/Cargo.toml -- --bench`.
//!
//! Each look-up takes another key, so that a large table is as far away as it would be in a server. The keys lie side by side, so
//! that reading them, which a server has done already, costs next to nothing.

mod names;

use divan::{Bencher, black_box};
use dream_http::{Fields, Method};
use dreamserver::inside::router::{Found, HostPattern, Matcher, SiteRoutes, Table};

/// Of each site.
const ROUTES: usize = 100;

/// Look-ups that a sample takes the mean of.
const KEYS: usize = 100_000;

/// The server's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [memory, contender] if memory == "memory" => names::memory(contender),
        _ => divan::main(),
    }
}

/// Sites; each has a hundred routes, but the first table has one route in all.
#[divan::bench(args = [0, 1, 10, 100, 1000])]
fn find(bencher: Bencher<'_, '_>, sites: usize) {
    let table = table(sites);
    let keys = keys(sites);
    let fields = Fields::new();
    bencher
        .counter(divan::counter::ItemsCount::new(KEYS))
        .bench_local(|| {
            let mut text = keys.text.as_slice();
            for &(host, path) in &keys.lengths {
                let (key, rest) = text.split_at(host + path);
                let (host, path) = key.split_at(host);
                let found = table.find(host, path, Method::Get, &fields);
                assert!(matches!(black_box(found), Found::Route(_)));
                text = rest;
            }
        });
}

fn table(sites: usize) -> Table<usize> {
    let built = match sites {
        0 => Table::build(vec![site(HostPattern::Any, &["/*".to_owned()])]),
        _ => Table::build((0..sites).map(hundred).collect()),
    };
    built.unwrap_or_else(|conflicts| panic!("{conflicts:?}"))
}

fn hundred(number: usize) -> SiteRoutes<usize> {
    let paths: Vec<String> = (0..ROUTES).map(pattern).collect();
    site(HostPattern::Exact(host(number)), &paths)
}

fn site(host: HostPattern, paths: &[String]) -> SiteRoutes<usize> {
    let route = |(number, path): (usize, &String)| {
        let pattern = path.parse().expect("the pattern is valid");
        (Matcher::path(pattern), number)
    };
    SiteRoutes {
        hosts: vec![host],
        routes: paths.iter().enumerate().map(route).collect(),
    }
}

fn host(number: usize) -> String {
    format!("site-{number}.example.com")
}

fn pattern(number: usize) -> String {
    match number % 3 {
        0 => format!("/api/v{}/items-{number}/*", number % 7),
        1 => format!("/assets/{number}/app.js"),
        _ => format!("/users/{{id}}/album-{number}/*"),
    }
}

/// Hosts and paths, one behind the other.
struct Keys {
    text: Vec<u8>,
    lengths: Vec<(usize, usize)>,
}

fn keys(sites: usize) -> Keys {
    let mut random = fastrand::Rng::with_seed(7);
    let mut keys = Keys {
        text: Vec::new(),
        lengths: Vec::new(),
    };
    for _ in 0..KEYS {
        let host = host(random.usize(..sites.max(1)));
        let path = pattern(random.usize(..ROUTES))
            .replace("{id}", &random.u32(..).to_string())
            .replace('*', &random.u32(..).to_string());
        keys.text.extend_from_slice(host.as_bytes());
        keys.text.extend_from_slice(path.as_bytes());
        keys.lengths.push((host.len(), path.len()));
    }
    keys
}
