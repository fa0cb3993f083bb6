//! The table against examples, and against a matcher so naive that it is evidently right.

use super::*;
use proptest::prelude::*;

fn matcher(path: &str) -> Matcher {
    Matcher::path(path.parse().unwrap())
}

fn with_methods(path: &str, methods: &[Method]) -> Matcher {
    let set = methods
        .iter()
        .fold(MethodSet::EMPTY, |set, method| set.with(*method));
    Matcher {
        methods: Some(set),
        ..matcher(path)
    }
}

fn site<'a>(host: &str, routes: &[(Matcher, &'a str)]) -> SiteRoutes<&'a str> {
    SiteRoutes {
        hosts: vec![host.parse().unwrap()],
        routes: routes.to_vec(),
    }
}

fn get<'a>(table: &'a Table<&'a str>, path: &str) -> Found<'a, &'a str> {
    table.find(b"a", path.as_bytes(), Method::Get, &Fields::new())
}

#[test]
fn the_most_specific_path_wins_whatever_the_order() {
    let mut paths = [
        "/*",
        "/v1/*",
        "/v1",
        "/v1/x",
        "/v1/{id}",
        "/v1/{id}/y",
        "/v1/x/*",
        "/",
    ];
    for _ in 0..paths.len() {
        paths.rotate_left(1);
        let routes: Vec<_> = paths.iter().map(|path| (matcher(path), *path)).collect();
        let table = Table::build(vec![site("a", &routes)]).unwrap();
        for (path, expected) in [
            ("/", "/"),
            ("/v2", "/*"),
            ("/v1", "/v1"),
            ("/v1/", "/v1/*"),
            ("/v1/x", "/v1/x"),
            ("/v1/z", "/v1/{id}"),
            ("/v1/z/y", "/v1/{id}/y"),
            ("/v1/z/z", "/v1/*"),
            ("/v1/x/y", "/v1/x/*"),
            ("/v1x", "/*"),
        ] {
            assert_eq!(get(&table, path), Found::Route(&expected), "{path}");
        }
    }
}

#[test]
fn methods_and_fields_fall_back_to_the_next_candidate() {
    let mut versioned = matcher("/x");
    versioned.fields = vec![FieldMatch::new("X-Version", Some("2"))];
    let routes = [
        (with_methods("/x", &[Method::Get]), "read"),
        (with_methods("/x", &[Method::Post]), "write"),
        (versioned, "second"),
        (with_methods("/*", &[Method::Put]), "put"),
    ];
    let table = Table::build(vec![site("a", &routes)]).unwrap();
    let find =
        |path: &str, method, fields: &Fields| table.find(b"a", path.as_bytes(), method, fields);
    let plain = Fields::new();
    assert_eq!(find("/x", Method::Head, &plain), Found::Route(&"read"));
    assert_eq!(find("/x", Method::Post, &plain), Found::Route(&"write"));
    assert_eq!(find("/x", Method::Put, &plain), Found::Route(&"put"));
    let Found::MethodNotAllowed(allow) = find("/x", Method::Delete, &plain) else {
        panic!("405 expected");
    };
    assert_eq!(allow.to_string(), "GET, HEAD, POST, PUT");
    let mut second = Fields::new();
    second.append_text(b"x-version", b"2").unwrap();
    assert_eq!(find("/x", Method::Get, &second), Found::Route(&"second"));
}

#[test]
fn unknown_hosts_and_paths() {
    let table = Table::build(vec![site("a", &[(matcher("/x"), "x")])]).unwrap();
    assert_eq!(get(&table, "/y"), Found::NoRoute);
    assert_eq!(get(&table, "*"), Found::NoRoute);
    assert_eq!(get(&table, ""), Found::NoRoute);
    let found = table.find(b"b", b"/x", Method::Get, &Fields::new());
    assert_eq!(found, Found::NoHost);
}

#[test]
fn what_answers_twice_is_a_conflict() {
    let routes = [
        (matcher("/{a}"), "one"),
        (matcher("/{b}"), "two"),
        (with_methods("/y", &[Method::Get]), "three"),
        (with_methods("/y", &[Method::Head]), "four"),
        (with_methods("/y", &[Method::Post]), "five"),
    ];
    let conflicts = Table::build(vec![site("a", &routes), site("A.", &[])]).unwrap_err();
    let route = |first, second| Conflict::Route {
        site: 0,
        first,
        second,
    };
    let host = Conflict::Host {
        host: "a".parse().unwrap(),
        first: 0,
        second: 1,
    };
    assert_eq!(conflicts, [host, route(0, 1), route(2, 3)]);
}

#[test]
fn a_hundred_thousand_routes_are_found() {
    let texts: Vec<String> = (0..100_000)
        .map(|number| format!("/group{}/route{number}/*", number % 100))
        .collect();
    let routes: Vec<_> = texts
        .iter()
        .map(|path| (matcher(path), path.as_str()))
        .collect();
    let table = Table::build(vec![site("a", &routes)]).unwrap();
    for path in texts.iter().step_by(997) {
        let inside = path.replace('*', "file");
        assert_eq!(get(&table, &inside), Found::Route(&path.as_str()));
    }
}

/// Does `pattern` match `path`? Written as the reference says it, without a tree.
fn naive_match(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<&str>, Vec<&str>) =
        (pattern.split('/').collect(), path.split('/').collect());
    let open = pattern.last() == Some(&"*");
    let fixed = if open {
        pattern.len() - 1
    } else {
        pattern.len()
    };
    let long_enough = if open {
        path.len() > fixed
    } else {
        path.len() == fixed
    };
    let fits = |(part, segment): (&&str, &&str)| match part.starts_with('{') {
        true => !segment.is_empty(),
        false => part == segment,
    };
    long_enough && pattern[..fixed].iter().zip(&path).all(fits)
}

/// The more specific of two patterns that match the same path is less.
fn naive_order(pattern: &str) -> Vec<(u8, &str)> {
    pattern
        .split('/')
        .map(|part| match part {
            "*" => (2, ""),
            _ if part.starts_with('{') => (1, ""),
            _ => (0, part),
        })
        .collect()
}

proptest! {
    #[test]
    fn agrees_with_the_naive_matcher(
        patterns in proptest::collection::btree_set("(/(a|b|\\{x\\})){0,3}(/|/\\*|/a)", 1..8),
        path in "(/(a|b|c)?){1,5}",
    ) {
        let patterns: Vec<String> = patterns.into_iter().collect();
        let routes: Vec<_> = patterns.iter().map(|path| (matcher(path), path.as_str())).collect();
        let table = Table::build(vec![site("a", &routes)]).unwrap();
        let expected = patterns
            .iter()
            .filter(|pattern| naive_match(pattern, &path))
            .min_by_key(|pattern| naive_order(pattern));
        let found = match get(&table, &path) {
            Found::Route(pattern) => Some(*pattern),
            _ => None,
        };
        prop_assert_eq!(found, expected.map(String::as_str));
    }

    #[test]
    fn no_bytes_panic(host: Vec<u8>, path: Vec<u8>) {
        let routes = [(matcher("/{a}/*"), "x")];
        let table = Table::build(vec![site("*.a", &routes)]).unwrap();
        let _ = table.find(&host, &path, Method::Other, &Fields::new());
    }
}
