//! Names that come and go while the server runs, and what each leads to.
//!
//! The back office changes its copy and publishes a clone; the cores look up in what was published last, and exchanges
//! in what they began with. A clone copies nothing, and a change only the way to its name, however many names there are.

use super::host::Host;
use super::trie::Trie;

/// A map from host names, and wildcards such as `*.example.com`, to `T`.
///
/// Names are in the spelling that [`Host::name`] gives: lower case, without port and trailing dot.
#[derive(Clone)]
pub struct Names<T> {
    exact: Trie<T>,
    /// By what stands behind `*.`.
    wildcards: Trie<T>,
}

impl<T> Names<T> {
    /// No names.
    pub fn new() -> Names<T> {
        Names {
            exact: Trie::new(),
            wildcards: Trie::new(),
        }
    }

    /// What exactly this name or wildcard leads to.
    pub fn get(&self, name: &str) -> Option<&T> {
        match name.strip_prefix(WILDCARD) {
            Some(suffix) => self.wildcards.get(suffix.as_bytes()),
            None => self.exact.get(name.as_bytes()),
        }
    }

    /// What a client's host leads to: by its name, or else by the longest wildcard above it.
    pub fn find(&self, host: Host<'_>) -> Option<&T> {
        self.exact.get(host.name()).or_else(|| {
            let mut parents = host.parents();
            match self.wildcards.len() {
                0 => None,
                _ => parents.find_map(|parent| self.wildcards.get(parent)),
            }
        })
    }

    /// How many names and wildcards there are.
    pub fn len(&self) -> usize {
        self.exact.len() + self.wildcards.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All names and wildcards, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (String, &T)> {
        let text = |bytes| String::from_utf8_lossy(bytes);
        let exact = self.exact.iter();
        let wildcards = self.wildcards.iter();
        exact
            .map(move |(name, value)| (text(name).into_owned(), value))
            .chain(
                wildcards.map(move |(suffix, value)| (WILDCARD.to_owned() + &text(suffix), value)),
            )
    }
}

impl<T: Clone> Names<T> {
    /// Has `name` lead to `value`; tells where it led before.
    pub fn insert(&mut self, name: &str, value: T) -> Option<T> {
        match name.strip_prefix(WILDCARD) {
            Some(suffix) => self.wildcards.insert(suffix.as_bytes(), value),
            None => self.exact.insert(name.as_bytes(), value),
        }
    }

    /// Takes `name` out; tells where it led.
    pub fn remove(&mut self, name: &str) -> Option<T> {
        match name.strip_prefix(WILDCARD) {
            Some(suffix) => self.wildcards.remove(suffix.as_bytes()),
            None => self.exact.remove(name.as_bytes()),
        }
    }
}

/// Each name and wildcard comes once.
impl<'a, T> FromIterator<(&'a str, T)> for Names<T> {
    fn from_iter<I: IntoIterator<Item = (&'a str, T)>>(all: I) -> Names<T> {
        let mut wildcards = Vec::new();
        let exact = all
            .into_iter()
            .filter_map(|(name, value)| match name.strip_prefix(WILDCARD) {
                Some(suffix) => {
                    wildcards.push((suffix.as_bytes(), value));
                    None
                }
                None => Some((name.as_bytes(), value)),
            });
        Names {
            exact: Trie::build(exact),
            wildcards: Trie::build(wildcards.into_iter()),
        }
    }
}

impl<T> Default for Names<T> {
    fn default() -> Names<T> {
        Names::new()
    }
}

const WILDCARD: &str = "*.";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn names(list: &[&'static str]) -> Names<&'static str> {
        let mut names = Names::new();
        for name in list {
            assert_eq!(names.insert(name, *name), None);
        }
        names
    }

    fn find<T: Copy>(names: &Names<T>, host: &str) -> Option<T> {
        names.find(Host::new(host.as_bytes(), &mut [0; _])).copied()
    }

    #[test]
    fn the_most_specific_name_wins() {
        let names = names(&[
            "x.a.b.c",
            "*.a.b.c",
            "*.b.c",
            "long.name.that.is.kept.elsewhere.example.com",
        ]);
        for (host, found) in [
            ("X.a.B.c.:80", Some("x.a.b.c")),
            ("y.a.b.c", Some("*.a.b.c")),
            ("z.y.a.b.c", Some("*.a.b.c")),
            ("a.b.c", Some("*.b.c")),
            ("b.c", None),
            ("", None),
            (".b.c", Some("*.b.c")),
            ("[::1]:80", None),
            (
                "Long.Name.that.is.kept.elsewhere.example.com",
                Some("long.name.that.is.kept.elsewhere.example.com"),
            ),
        ] {
            assert_eq!(find(&names, host), found, "{host}");
        }
        assert_eq!(find(&names, &"a".repeat(300)), None);
    }

    #[test]
    fn a_name_is_not_its_wildcard() {
        let mut names = names(&["a.b", "*.a.b"]);
        assert_eq!(names.len(), 2);
        assert_eq!(names.remove("*.a.b"), Some("*.a.b"));
        assert_eq!((names.get("a.b"), names.get("*.a.b")), (Some(&"a.b"), None));
        assert_eq!(names.remove("*.a.b"), None);
        assert_eq!((names.len(), names.is_empty()), (1, false));
    }

    #[test]
    fn versions_do_not_see_each_other() {
        let mut names = Names::new();
        let versions: Vec<Names<usize>> = (0..1000)
            .map(|number| {
                names.insert(&format!("name-{number}"), number);
                names.clone()
            })
            .collect();
        for number in 0..1000 {
            names.remove(&format!("name-{number}"));
        }
        assert!(names.is_empty() && names.iter().next().is_none());
        for (last, version) in versions.iter().enumerate() {
            assert_eq!(version.len(), last + 1);
            assert_eq!(version.get(&format!("name-{last}")), Some(&last));
            assert_eq!(version.get(&format!("name-{}", last + 1)), None);
        }
    }

    #[test]
    fn what_is_built_at_once_can_be_changed() {
        let list: Vec<String> = (0..10_000)
            .map(|number| match number % 3 {
                0 => format!("*.name-{number}"),
                _ => format!("name-{number}"),
            })
            .collect();
        let mut names: Names<usize> = (list.iter().map(String::as_str)).zip(0..).collect();
        assert_eq!(names.len(), list.len());
        for (number, name) in list.iter().enumerate() {
            assert_eq!(names.get(name), Some(&number));
            assert_eq!(names.insert(name, number + 1), Some(number));
            assert_eq!(names.remove(name), Some(number + 1));
        }
        assert!(names.is_empty() && names.iter().next().is_none());
    }

    /// What can be done to a map.
    #[derive(Clone, Debug)]
    enum Change {
        Insert(String, u32),
        Remove(String),
        Keep,
    }

    fn change() -> impl Strategy<Value = Change> {
        // Few enough that names meet again, enough that buckets split and are gathered again.
        let name = || "(\\*\\.)?[a-d]{1,4}(\\.a-long-label-so-that-it-is-not-kept-inline)?";
        prop_oneof![
            6 => (name(), any::<u32>()).prop_map(|(name, value)| Change::Insert(name, value)),
            5 => name().prop_map(Change::Remove),
            1 => Just(Change::Keep),
        ]
    }

    fn sorted(names: &Names<u32>) -> Vec<(String, u32)> {
        let mut list: Vec<_> = names.iter().map(|(name, value)| (name, *value)).collect();
        list.sort();
        list
    }

    proptest! {
        #[test]
        fn agrees_with_the_map_of_std(changes in proptest::collection::vec(change(), 0..600)) {
            let mut names = Names::new();
            let mut expected = HashMap::new();
            let mut kept = Vec::new();
            for change in changes {
                match change {
                    Change::Insert(name, value) => prop_assert_eq!(names.insert(&name, value), expected.insert(name, value)),
                    Change::Remove(name) => prop_assert_eq!(names.remove(&name), expected.remove(&name)),
                    Change::Keep => kept.push((names.clone(), expected.clone())),
                }
                prop_assert_eq!(names.len(), expected.len());
            }
            let list: Vec<(&str, u32)> = expected.iter().map(|(name, value)| (name.as_str(), *value)).collect();
            prop_assert_eq!(sorted(&list.into_iter().collect()), sorted(&names));
            kept.push((names, expected));
            for (names, expected) in kept {
                for (name, value) in &expected {
                    prop_assert_eq!(names.get(name), Some(value));
                }
                let mut expected: Vec<_> = expected.into_iter().collect();
                expected.sort();
                prop_assert_eq!(sorted(&names), expected);
            }
        }

        #[test]
        fn no_bytes_panic(host: Vec<u8>) {
            let names = names(&["*.a", "a"]);
            let _ = names.find(Host::new(&host, &mut [0; _]));
        }
    }
}
