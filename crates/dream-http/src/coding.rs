//! Which content coding a client wants, of those that a server has (RFC 9110 §12.5.3).
//!
//! A field is read once, from left to right, into a handful of numbers: whatever a client writes costs no memory.

use crate::fields::{list_members, trim_blanks};
use crate::{Fields, Name};

/// A content coding that makes text smaller (RFC 9110 §8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Coding {
    /// Zstandard (RFC 8878).
    Zstd,
    /// Brotli (RFC 7932).
    Brotli,
    /// What every client knows (RFC 1952).
    Gzip,
}

impl Coding {
    /// All of them: the one that gives most for its time comes first.
    pub const ALL: [Coding; 3] = [Coding::Zstd, Coding::Brotli, Coding::Gzip];

    /// The name in `Content-Encoding` and `Accept-Encoding`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Coding::Zstd => "zstd",
            Coding::Brotli => "br",
            Coding::Gzip => "gzip",
        }
    }

    /// The usual ending of a file's name.
    pub const fn extension(self) -> &'static str {
        match self {
            Coding::Zstd => "zst",
            Coding::Brotli => "br",
            Coding::Gzip => "gz",
        }
    }

    /// The coding with this name, in any case. `x-gzip` is an old name of gzip (RFC 9110 §8.4.1.3).
    pub fn find(name: &[u8]) -> Option<Coding> {
        let is_named = |coding: &Coding| name.eq_ignore_ascii_case(coding.as_str().as_bytes());
        let old = || name.eq_ignore_ascii_case(b"x-gzip").then_some(Coding::Gzip);
        Coding::ALL.into_iter().find(is_named).or_else(old)
    }
}

/// What a client says of content codings, in thousandths; 0 is a refusal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AcceptEncoding {
    codings: [Option<u16>; Coding::ALL.len()],
    identity: Option<u16>,
    /// `*`: whatever is not named.
    others: Option<u16>,
}

/// What a client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The content in this coding.
    Coded(Coding),
    /// The content as it is.
    Identity,
    /// Neither: what there is, the client has refused.
    Nothing,
}

impl AcceptEncoding {
    /// What the request with these fields says. One without the field says nothing: then nothing is refused, and
    /// nobody knows what is understood.
    pub fn of(fields: &Fields) -> AcceptEncoding {
        let mut said = AcceptEncoding::default();
        for value in fields.get_all(Name::AcceptEncoding) {
            for member in list_members(value) {
                said.note(member);
            }
        }
        said
    }

    /// How much the client wants this coding; 0 if it is not to be used.
    pub fn quality(&self, coding: Coding) -> u16 {
        let named = self.codings[coding as usize];
        named.or(self.others).unwrap_or(0)
    }

    /// How much the client wants the content as it is; 0 if it refuses that.
    pub fn identity(&self) -> u16 {
        // Always acceptable, unless excluded by its name or by `*;q=0`; who does not name it wants any coding more.
        self.identity.or(self.others).unwrap_or(1)
    }

    /// What the client gets where these codings can be had, the one that we like most first: what it wants most, and of what
    /// it wants as much, the first.
    pub fn choose(&self, offered: impl IntoIterator<Item = Coding>) -> Choice {
        let mut best = (Choice::Nothing, 0);
        for coding in offered {
            let quality = self.quality(coding);
            if quality > best.1 {
                best = (Choice::Coded(coding), quality);
            }
        }
        if self.identity() > best.1 {
            best.0 = Choice::Identity;
        }
        best.0
    }

    /// Notes one member of the list. What breaks the grammar says nothing, and of two that name the same the first counts.
    fn note(&mut self, member: &[u8]) {
        let mut parts = member.splitn(2, |&byte| byte == b';');
        let name = trim_blanks(parts.next().unwrap_or_default());
        let Some(quality) = parts.next().map_or(Some(1000), weight) else {
            return;
        };
        let place = match Coding::find(name) {
            Some(coding) => &mut self.codings[coding as usize],
            None if name == b"*" => &mut self.others,
            None if name.eq_ignore_ascii_case(b"identity") => &mut self.identity,
            None => return,
        };
        place.get_or_insert(quality);
    }
}

/// What stands behind the semicolon, `q=0.5`, in thousandths (RFC 9110 §12.4.2).
fn weight(text: &[u8]) -> Option<u16> {
    let [b'q' | b'Q', b'=', number @ ..] = trim_blanks(text) else {
        return None;
    };
    let (whole, fraction) = match number {
        [whole] | [whole, b'.'] => (whole, &[][..]),
        [whole, b'.', fraction @ ..] if fraction.len() <= 3 => (whole, fraction),
        _ => return None,
    };
    let mut thousandths = match whole {
        b'0' => 0,
        b'1' => 1000,
        _ => return None,
    };
    let mut place = 100;
    for digit in fraction {
        thousandths += place * char::from(*digit).to_digit(10)? as u16;
        place /= 10;
    }
    (thousandths <= 1000).then_some(thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn said(values: &[&str]) -> AcceptEncoding {
        let mut fields = Fields::new();
        for value in values {
            fields
                .append(Name::AcceptEncoding, value.as_bytes())
                .unwrap();
        }
        AcceptEncoding::of(&fields)
    }

    #[test]
    fn the_table() {
        use Choice::{Coded, Identity, Nothing};
        use Coding::{Brotli, Gzip, Zstd};
        for (value, expected) in [
            // What browsers and tools send.
            ("gzip, deflate, br, zstd", Coded(Zstd)),
            ("gzip, deflate, br", Coded(Brotli)),
            ("gzip, deflate", Coded(Gzip)),
            ("gzip", Coded(Gzip)),
            ("x-gzip", Coded(Gzip)),
            ("GZip", Coded(Gzip)),
            ("*", Coded(Zstd)),
            ("", Identity),
            ("identity", Identity),
            ("deflate", Identity),
            // The client's word counts before ours.
            ("gzip;q=1.0, zstd;q=0.5", Coded(Gzip)),
            ("br;q=0.999, gzip;q=1.000", Coded(Gzip)),
            ("gzip;q=0.001", Coded(Gzip)),
            ("gzip ; q=0.5 , br\t;\tq=0.6", Coded(Brotli)),
            ("gzip;Q=0.5", Coded(Gzip)),
            ("identity, gzip;q=0.5", Identity),
            ("identity;q=0.5, gzip;q=0.5", Coded(Gzip)),
            ("identity;q=0.5, gzip;q=0.4", Identity),
            ("gzip;q=0", Identity),
            ("gzip;q=0.000, br;q=0., zstd;q=0", Identity),
            // `*` is what is not named.
            ("zstd;q=0, *", Coded(Brotli)),
            ("*;q=0.5, gzip", Coded(Gzip)),
            ("*;q=0.5, gzip;q=0.2", Coded(Zstd)),
            ("*;q=0, gzip", Coded(Gzip)),
            ("*;q=0, identity", Identity),
            // Nothing fits.
            ("identity;q=0", Nothing),
            ("*;q=0", Nothing),
            ("compress, identity;q=0", Nothing),
            ("gzip;q=0, identity;q=0", Nothing),
            ("identity;q=0, *;q=0.1", Coded(Zstd)),
            // What breaks the grammar says nothing.
            ("gzip;q=2", Identity),
            ("gzip;q=1.001", Identity),
            ("gzip;q=0.1234", Identity),
            ("gzip;q=-1", Identity),
            ("gzip;q=", Identity),
            ("gzip;q=.5", Identity),
            ("gzip;q=0.5;a=b", Identity),
            ("gzip;level=9", Identity),
            ("gz ip", Identity),
            ("gzip;q=2, br", Coded(Brotli)),
            (",, ,gzip,,", Coded(Gzip)),
            // The first counts.
            ("gzip;q=0, gzip", Identity),
            ("gzip, x-gzip;q=0", Coded(Gzip)),
        ] {
            assert_eq!(said(&[value]).choose(Coding::ALL), expected, "{value:?}");
        }
    }

    #[test]
    fn no_field_refuses_nothing_and_several_are_one() {
        assert_eq!(said(&[]).choose(Coding::ALL), Choice::Identity);
        let two = said(&["gzip;q=0.5", "br"]);
        assert_eq!(two.choose(Coding::ALL), Choice::Coded(Coding::Brotli));
    }

    #[test]
    fn only_what_is_offered_is_chosen_and_the_first_of_equals() {
        let all = said(&["gzip, br, zstd"]);
        let gzip_first = [Coding::Gzip, Coding::Zstd, Coding::Brotli];
        assert_eq!(all.choose(gzip_first), Choice::Coded(Coding::Gzip));
        assert_eq!(all.choose([]), Choice::Identity);
        let strict = said(&["br, identity;q=0"]);
        assert_eq!(strict.choose([Coding::Gzip]), Choice::Nothing);
    }

    #[test]
    fn names_are_found() {
        for coding in Coding::ALL {
            assert_eq!(Coding::find(coding.as_str().as_bytes()), Some(coding));
            assert_eq!(Coding::ALL[coding as usize], coding);
        }
        assert_eq!(Coding::find(b"deflate"), None);
    }

    const NAMES: &str = "gzip|br|zstd|identity|\\*|x-gzip|deflate|[a-y]{0,5}";

    proptest! {
        #[test]
        fn what_is_refused_is_never_chosen(value in "[ -~]{0,60}") {
            let said = said(&[&value]);
            match said.choose(Coding::ALL) {
                Choice::Coded(coding) => {
                    prop_assert!(said.quality(coding) > 0);
                    prop_assert!(Coding::ALL.iter().all(|other| said.quality(*other) <= said.quality(coding)));
                    prop_assert!(said.identity() <= said.quality(coding));
                }
                Choice::Identity => prop_assert!(said.identity() > 0),
                Choice::Nothing => prop_assert_eq!(said.identity(), 0),
            }
        }

        #[test]
        fn every_weight_is_read(list in proptest::collection::vec((NAMES, 0u16..=1000), 0..8)) {
            let members: Vec<String> = list
                .iter()
                .map(|(name, quality)| format!("{name};q={}.{:03}", quality / 1000, quality % 1000))
                .collect();
            let said = said(&[&members.join(", ")]);
            for coding in Coding::ALL {
                let named = list.iter().find(|(name, _)| Coding::find(name.as_bytes()) == Some(coding));
                if let Some((_, quality)) = named {
                    prop_assert_eq!(said.quality(coding), *quality);
                }
            }
        }
    }
}
