//! Names that change while the server runs: [`Names`] beside a persistent map of a library and beside the map of std, of which
//! each core would need one of its own.
//!
//! `cargo run --release --manifest-path bench/routing/Cargo.toml -- --bench names` gives times,
//! `… -- memory names`, `… -- memory imbl` and `… -- memory std` what a million names take.

use divan::{Bencher, black_box, counter::ItemsCount};
use dreamserver::inside::router::{Host, Names};
use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Instant;

/// Look-ups, or ten times as many as changes, that a sample takes the mean of: more than caches hold of the largest map.
const KEYS: usize = 1_000_000;

const SIZES: [usize; 3] = [10, 1000, 1_000_000];

/// What a route would be: names of one target share it.
type Value = Arc<u32>;

trait Map: Default {
    fn insert(&mut self, name: &str, value: Value);
    fn remove(&mut self, name: &str);
    fn find(&self, host: Host<'_>) -> Option<&Value>;
    /// What keeps this version as it is, if that is possible without a copy of the whole.
    fn version(&self) -> Option<Self>;
}

impl Map for Names<Value> {
    fn insert(&mut self, name: &str, value: Value) {
        Names::insert(self, name, value);
    }
    fn remove(&mut self, name: &str) {
        Names::remove(self, name);
    }
    fn find(&self, host: Host<'_>) -> Option<&Value> {
        Names::find(self, host)
    }
    fn version(&self) -> Option<Self> {
        Some(self.clone())
    }
}

type Imbl = imbl::HashMap<Inline, Value>;

impl Map for Imbl {
    fn insert(&mut self, name: &str, value: Value) {
        Imbl::insert(self, Inline::new(name.as_bytes()), value);
    }
    fn remove(&mut self, name: &str) {
        Imbl::remove(self, name.as_bytes());
    }
    fn find(&self, host: Host<'_>) -> Option<&Value> {
        self.get(host.name())
    }
    fn version(&self) -> Option<Self> {
        Some(self.clone())
    }
}

type Std = HashMap<Inline, Value>;

impl Map for Std {
    fn insert(&mut self, name: &str, value: Value) {
        Std::insert(self, Inline::new(name.as_bytes()), value);
    }
    fn remove(&mut self, name: &str) {
        Std::remove(self, name.as_bytes());
    }
    fn find(&self, host: Host<'_>) -> Option<&Value> {
        self.get(host.name())
    }
    fn version(&self) -> Option<Self> {
        None
    }
}

/// A key that stands in the map itself, as those of the router do.
#[derive(Clone, PartialEq, Eq)]
struct Inline {
    text: [u8; 31],
    len: u8,
}

impl Inline {
    fn new(name: &[u8]) -> Inline {
        let mut text = [0; 31];
        text[..name.len()].copy_from_slice(name);
        let len = name.len() as u8;
        Inline { text, len }
    }
}

impl Borrow<[u8]> for Inline {
    fn borrow(&self) -> &[u8] {
        &self.text[..usize::from(self.len)]
    }
}

impl Hash for Inline {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Borrow::<[u8]>::borrow(self).hash(state);
    }
}

#[divan::bench(types = [Names<Value>, Imbl, Std], args = SIZES, sample_count = 10)]
fn names_find<M: Map>(bencher: Bencher<'_, '_>, size: usize) {
    look_up::<M>(bencher, size, 0..size, true);
}

#[divan::bench(types = [Names<Value>, Imbl, Std], args = SIZES, sample_count = 10)]
fn names_miss<M: Map>(bencher: Bencher<'_, '_>, size: usize) {
    look_up::<M>(bencher, size, size..2 * size, false);
}

fn look_up<M: Map>(
    bencher: Bencher<'_, '_>,
    size: usize,
    keys: std::ops::Range<usize>,
    there: bool,
) {
    let map = filled::<M>(size);
    let hosts = hosts(keys);
    bencher.counter(ItemsCount::new(KEYS)).bench_local(|| {
        for host in &hosts {
            let found = map.find(Host::new(host, &mut [0; _]));
            assert_eq!(black_box(found).is_some(), there);
        }
    });
}

/// New names come and go; the version before each change is held, as cores hold it.
#[divan::bench(types = [Names<Value>, Imbl, Std], args = SIZES, sample_count = 10)]
fn names_change<M: Map>(bencher: Bencher<'_, '_>, size: usize) {
    let mut map = filled::<M>(size);
    let (hosts, value) = (hosts(size..size + KEYS), Value::new(1));
    bencher.counter(ItemsCount::new(KEYS / 10)).bench_local(|| {
        for host in &hosts[..KEYS / 20] {
            let name = std::str::from_utf8(host).expect("names are ASCII");
            let before = map.version();
            map.insert(name, value.clone());
            drop(before);
            let before = map.version();
            map.remove(name);
            drop(before);
        }
    });
}

/// How much the process grows by a million names, and how long it takes to insert them.
pub fn memory(contender: &str) {
    match contender {
        "names" => grow::<Names<Value>>(),
        "imbl" => grow::<Imbl>(),
        "std" => grow::<Std>(),
        _ => eprintln!("names, imbl or std?"),
    }
}

fn grow<M: Map>() {
    let (before, begun) = (resident(), Instant::now());
    let map = filled::<M>(1_000_000);
    let each = begun.elapsed() / 1_000_000;
    let grown = resident() - before;
    println!("{} MB, {each:?} an insert", grown / 1_000_000);
    drop(map);
}

/// Bytes of the process that are in memory.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("Linux tells it");
    let resident = pages.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    4096 * resident.unwrap_or(0)
}

fn filled<M: Map>(size: usize) -> M {
    let (mut map, value) = (M::default(), Value::new(0));
    for number in 0..size {
        map.insert(&name(number), value.clone());
    }
    map
}

/// Of 20 bytes, without an order that memory could follow.
fn name(number: usize) -> String {
    let scattered = (number as u32).wrapping_mul(0x9e37_79b1);
    format!("{scattered:08x}.example.com")
}

/// Random hosts of a range of names, side by side.
fn hosts(range: std::ops::Range<usize>) -> Vec<[u8; 20]> {
    let mut random = fastrand::Rng::with_seed(7);
    let host = |_| name(random.usize(range.clone())).into_bytes().try_into();
    let hosts: Result<Vec<[u8; 20]>, _> = (0..KEYS).map(host).collect();
    hosts.expect("names have 20 bytes")
}
