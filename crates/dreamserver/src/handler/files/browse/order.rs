//! In which order a listing is.

use std::cmp::Ordering;

use super::entries::Entry;

/// What entries are sorted by, and from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) key: Key,
    pub(super) descending: bool,
}

/// What entries are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Name,
    Size,
    Date,
}

impl Key {
    pub(super) const ALL: [Key; 3] = [Key::Name, Key::Size, Key::Date];

    /// As a query says it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Key::Name => "name",
            Key::Size => "size",
            Key::Date => "date",
        }
    }
}

impl Order {
    pub(super) const USUAL: Order = Order {
        key: Key::Name,
        descending: false,
    };

    /// The order that a query asks for, such as `sort=size&order=desc`. What it does not say, or in other words, is as usual.
    pub(super) fn of(query: Option<&[u8]>) -> Order {
        let mut order = Order::USUAL;
        for part in query.unwrap_or_default().split(|&byte| byte == b'&') {
            if let Some(word) = part.strip_prefix(b"sort=") {
                let mut keys = Key::ALL.into_iter();
                let named = keys.find(|key| key.word().as_bytes() == word);
                order.key = named.unwrap_or(order.key);
            } else if let Some(word) = part.strip_prefix(b"order=") {
                order.descending = word == b"desc";
            }
        }
        order
    }

    /// The query that asks for it.
    pub(super) fn query(self) -> String {
        let direction = if self.descending { "desc" } else { "asc" };
        format!("?sort={}&order={direction}", self.key.word())
    }

    /// The order that a click on the column of `key` asks for: the other way round, or at first that which shows the most
    /// interesting ones, the largest and the latest.
    pub(super) fn on_click(self, key: Key) -> Order {
        let descending = match self.key == key {
            true => !self.descending,
            false => key != Key::Name,
        };
        Order { key, descending }
    }

    pub(super) fn compare(self, a: &Entry, b: &Entry, by_name: impl Fn() -> Ordering) -> Ordering {
        let ordering = match self.key {
            Key::Name => by_name(),
            Key::Size => a.size.cmp(&b.size),
            Key::Date => a.modified.cmp(&b.modified),
        };
        let ordering = match self.descending {
            true => ordering.reverse(),
            false => ordering,
        };
        ordering.then_with(by_name)
    }
}

/// As people sort names: capitals beside small letters, and numbers by their value.
pub(super) fn compare_names(a: &[u8], b: &[u8]) -> Ordering {
    let (mut left, mut right) = (a, b);
    loop {
        let (Some(first), Some(second)) = (left.first(), right.first()) else {
            return left.len().cmp(&right.len()).then_with(|| a.cmp(b));
        };
        let ordering = if first.is_ascii_digit() && second.is_ascii_digit() {
            compare_numbers(&mut left, &mut right)
        } else {
            (left, right) = (&left[1..], &right[1..]);
            first.to_ascii_lowercase().cmp(&second.to_ascii_lowercase())
        };
        if ordering.is_ne() {
            return ordering;
        }
    }
}

/// Compares the numbers that both begin with, and takes them away.
fn compare_numbers(a: &mut &[u8], b: &mut &[u8]) -> Ordering {
    let (left, right) = (take_number(a), take_number(b));
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

/// Takes the number at the beginning away; gives it without leading zeros.
fn take_number<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let end = text.iter().position(|byte| !byte.is_ascii_digit());
    let (number, rest) = text.split_at(end.unwrap_or(text.len()));
    *text = rest;
    let zeros = number.iter().take_while(|&&byte| byte == b'0').count();
    &number[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_sorted_as_people_do() {
        let sorted = [
            "", "1", "01", "2", "10", "a", "B", "b", "c1", "C2", "c10", "c10a", "ca", "é",
        ];
        for (at, one) in sorted.iter().enumerate() {
            for (other_at, other) in sorted.iter().enumerate() {
                let expected = match (*one, *other) {
                    // Equal but for spelling: the bytes decide, so that the order is always the same.
                    ("1", "01") => Ordering::Greater,
                    ("01", "1") => Ordering::Less,
                    _ => at.cmp(&other_at),
                };
                assert_eq!(
                    compare_names(one.as_bytes(), other.as_bytes()),
                    expected,
                    "{one} {other}"
                );
            }
        }
    }

    #[test]
    fn a_query_says_the_order() {
        for (query, key, descending) in [
            ("", Key::Name, false),
            ("sort=size", Key::Size, false),
            ("sort=size&order=desc", Key::Size, true),
            ("order=desc&x=y", Key::Name, true),
            ("sort=date&order=up", Key::Date, false),
            ("sort=%73ize&&order", Key::Name, false),
        ] {
            let order = Order::of(Some(query.as_bytes()));
            assert_eq!(order, Order { key, descending }, "{query}");
            assert_eq!(Order::of(Some(&order.query().as_bytes()[1..])), order);
        }
        assert_eq!(Order::of(None), Order::USUAL);
    }

    proptest! {
        #[test]
        fn any_names_have_one_order(a in "[a-bA-B0-2.]{0,6}", b in "[a-bA-B0-2.]{0,6}", c in "[a-bA-B0-2.]{0,6}") {
            let compare = |x: &str, y: &str| compare_names(x.as_bytes(), y.as_bytes());
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            prop_assert_eq!(compare(&a, &b).is_eq(), a == b);
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                prop_assert!(compare(&a, &c).is_le());
            }
        }
    }
}
