//! Field names that the server acts on, as small integers.

macro_rules! names {
    ($($variant:ident = $text:literal),* $(,)?) => {
        /// A field name (RFC 9110 §5.1): known ones are one byte, all others [`Name::Unknown`].
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        #[non_exhaustive]
        #[allow(missing_docs, reason = "each variant is the field it names")]
        pub enum Name {
            /// Not in the list below; the bytes beside it tell.
            #[default]
            Unknown,
            $($variant),*
        }

        impl Name {
            /// Every known name, in the order of its number.
            pub const ALL: &[Name] = &[$(Name::$variant),*];

            /// The name as it is usually written; empty for [`Name::Unknown`].
            pub const fn as_str(self) -> &'static str {
                match self {
                    Name::Unknown => "",
                    $(Name::$variant => $text),*
                }
            }
        }
    };
}

names! {
    Accept = "Accept",
    AcceptEncoding = "Accept-Encoding",
    AcceptLanguage = "Accept-Language",
    AcceptRanges = "Accept-Ranges",
    Age = "Age",
    Allow = "Allow",
    AltSvc = "Alt-Svc",
    Authorization = "Authorization",
    CacheControl = "Cache-Control",
    Connection = "Connection",
    ContentDisposition = "Content-Disposition",
    ContentEncoding = "Content-Encoding",
    ContentLanguage = "Content-Language",
    ContentLength = "Content-Length",
    ContentLocation = "Content-Location",
    ContentRange = "Content-Range",
    ContentSecurityPolicy = "Content-Security-Policy",
    ContentType = "Content-Type",
    Cookie = "Cookie",
    Date = "Date",
    Etag = "ETag",
    Expect = "Expect",
    Expires = "Expires",
    Forwarded = "Forwarded",
    Host = "Host",
    IfMatch = "If-Match",
    IfModifiedSince = "If-Modified-Since",
    IfNoneMatch = "If-None-Match",
    IfRange = "If-Range",
    IfUnmodifiedSince = "If-Unmodified-Since",
    KeepAlive = "Keep-Alive",
    LastModified = "Last-Modified",
    Link = "Link",
    Location = "Location",
    MaxForwards = "Max-Forwards",
    Origin = "Origin",
    Pragma = "Pragma",
    ProxyAuthenticate = "Proxy-Authenticate",
    ProxyAuthorization = "Proxy-Authorization",
    ProxyConnection = "Proxy-Connection",
    Proxy = "Proxy",
    Range = "Range",
    Referer = "Referer",
    RetryAfter = "Retry-After",
    SecWebSocketAccept = "Sec-WebSocket-Accept",
    SecWebSocketKey = "Sec-WebSocket-Key",
    SecWebSocketVersion = "Sec-WebSocket-Version",
    Server = "Server",
    SetCookie = "Set-Cookie",
    StrictTransportSecurity = "Strict-Transport-Security",
    Te = "TE",
    Trailer = "Trailer",
    TransferEncoding = "Transfer-Encoding",
    Upgrade = "Upgrade",
    UpgradeInsecureRequests = "Upgrade-Insecure-Requests",
    UserAgent = "User-Agent",
    Vary = "Vary",
    Via = "Via",
    WwwAuthenticate = "WWW-Authenticate",
    XClientSubject = "X-Client-Subject",
    XContentTypeOptions = "X-Content-Type-Options",
    XForwardedFor = "X-Forwarded-For",
    XForwardedHost = "X-Forwarded-Host",
    XForwardedPort = "X-Forwarded-Port",
    XForwardedProto = "X-Forwarded-Proto",
    XRealIp = "X-Real-IP",
    XRequestId = "X-Request-Id",
}

impl Name {
    /// The known name that `text` spells in any case, else [`Name::Unknown`].
    pub fn find(text: &[u8]) -> Name {
        let mut padded = [0; LONGEST];
        match padded.get_mut(..text.len()) {
            Some(room) => {
                room.copy_from_slice(text);
                Name::find_before(&padded, text.len())
            }
            None => Name::Unknown,
        }
    }

    /// As [`Name::find`] for the name `bytes[..len]`; quicker where eight bytes can be read at once.
    #[inline(always)]
    pub(crate) fn find_before(bytes: &[u8], len: usize) -> Name {
        let Some((first, last)) = ends(bytes, len) else {
            return Name::find(&bytes[..len]);
        };
        let name = SLOTS[slot(first, last, MULTIPLIER)];
        let spelling = &SPELLINGS[name as usize];
        let fits = spelling.len == len
            && spelling.first.fits(first)
            && spelling.last.fits(last)
            && (len <= 16 || spelling.middle_fits(bytes));
        if fits { name } else { Name::Unknown }
    }
}

/// A set of names, of the unknown ones as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameSet([u64; 2]);

impl NameSet {
    /// The set of these names.
    pub const fn of(names: &[Name]) -> NameSet {
        let mut set = NameSet([0; 2]);
        let mut index = 0;
        while index < names.len() {
            set.insert(names[index]);
            index += 1;
        }
        set
    }

    /// Is `name` in the set?
    pub const fn has(self, name: Name) -> bool {
        self.0[name as usize / 64] & 1 << (name as usize % 64) != 0
    }

    const fn insert(&mut self, name: Name) {
        self.0[name as usize / 64] |= 1 << (name as usize % 64);
    }
}

const _: () = assert!(Name::ALL.len() < 128, "a set has 128 bits");

/// Tells quickly that a name is not among those that were put in; two names may share a bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NameFilter(u64);

impl NameFilter {
    pub(crate) fn insert(&mut self, name: Name) {
        self.0 |= 1 << (name as u64 % 64);
    }

    pub(crate) fn join(&mut self, other: NameFilter) {
        self.0 |= other.0;
    }

    /// May `name` be in it?
    pub(crate) fn may_have(self, name: Name) -> bool {
        self.0 & 1 << (name as u64 % 64) != 0
    }

    /// May one of `names` be in it?
    pub(crate) fn may_meet(self, names: NameSet) -> bool {
        self.0 & (names.0[0] | names.0[1]) != 0
    }
}

/// The first and the last eight bytes of a name, which may overlap; a shorter one is padded with zeros. `None` if `bytes` ends too
/// soon behind it to be read in words.
#[inline]
fn ends(bytes: &[u8], len: usize) -> Option<(u64, u64)> {
    let first = word(bytes, 0)?;
    if len < 8 {
        let short = first & !(u64::MAX << (len * 8));
        return Some((short, short));
    }
    Some((first, word(bytes, len - 8)?))
}

#[inline]
fn word(bytes: &[u8], at: usize) -> Option<u64> {
    let word = bytes.get(at..)?.first_chunk()?;
    Some(u64::from_le_bytes(*word))
}

/// Eight bytes of a known name.
#[derive(Clone, Copy)]
struct Word {
    lower: u64,
    /// The bit that makes a letter lower-case, where there is a letter.
    case: u64,
}

impl Word {
    const fn new(text: &[u8], at: usize) -> Word {
        let mut bytes = [0; 8];
        let mut case = [0; 8];
        let mut index = 0;
        while index < 8 && at + index < text.len() {
            let byte = text[at + index];
            bytes[index] = byte.to_ascii_lowercase();
            case[index] = (byte.is_ascii_alphabetic() as u8) << 5;
            index += 1;
        }
        Word {
            lower: u64::from_le_bytes(bytes),
            case: u64::from_le_bytes(case),
        }
    }

    fn fits(self, word: u64) -> bool {
        word | self.case == self.lower
    }
}

/// A known name in words: the first, the last, and two between them for names of more than 16 bytes.
#[derive(Clone, Copy)]
struct Spelling {
    len: usize,
    first: Word,
    last: Word,
    middle: [Word; 2],
    /// Where the second of `middle` stands.
    third: usize,
}

impl Spelling {
    const fn new(name: Name) -> Spelling {
        let text = name.as_str().as_bytes();
        assert!(text.len() <= LONGEST);
        let end = text.len().saturating_sub(8);
        let third = if end < 16 { end } else { 16 };
        Spelling {
            len: text.len(),
            first: Word::new(text, 0),
            last: Word::new(text, end),
            middle: [Word::new(text, 8), Word::new(text, third)],
            third,
        }
    }

    fn middle_fits(&self, bytes: &[u8]) -> bool {
        let fits = |index: usize, from| {
            word(bytes, from).is_some_and(|word| self.middle[index].fits(word))
        };
        fits(0, 8) && fits(1, self.third)
    }
}

/// By the number of the name.
static SPELLINGS: [Spelling; Name::ALL.len() + 1] = {
    let mut spellings = [Spelling::new(Name::Unknown); Name::ALL.len() + 1];
    let mut index = 0;
    while index < Name::ALL.len() {
        spellings[index + 1] = Spelling::new(Name::ALL[index]);
        index += 1;
    }
    spellings
};

/// The names, each in the slot of its own: no two collide.
static SLOTS: [Name; SLOT_COUNT] = match slots(MULTIPLIER) {
    Some(slots) => slots,
    None => [Name::Unknown; SLOT_COUNT],
};

/// The first odd number with which no two names share a slot, looked for by the compiler.
const MULTIPLIER: u64 = {
    let mut multiplier = 0x9e37_79b9_7f4a_7c15;
    while slots(multiplier).is_none() {
        multiplier += 2;
    }
    multiplier
};

const fn slots(multiplier: u64) -> Option<[Name; SLOT_COUNT]> {
    let mut slots = [Name::Unknown; SLOT_COUNT];
    let mut index = 0;
    while index < Name::ALL.len() {
        let spelling = Spelling::new(Name::ALL[index]);
        let slot = slot(spelling.first.lower, spelling.last.lower, multiplier);
        if !matches!(slots[slot], Name::Unknown) {
            return None;
        }
        slots[slot] = Name::ALL[index];
        index += 1;
    }
    Some(slots)
}

/// A slot that does not depend on the case.
const fn slot(first: u64, last: u64, multiplier: u64) -> usize {
    let key = (first | LOWER).wrapping_add((last | LOWER).rotate_left(9));
    (key.wrapping_mul(multiplier) >> (64 - SLOT_COUNT.trailing_zeros())) as usize
}

/// Enough that a multiplier is found in a few hundred tries.
const SLOT_COUNT: usize = 512;

/// The bit that makes letters lower-case, in each of eight bytes.
const LOWER: u64 = 0x2020_2020_2020_2020;

/// No known name is longer; four words cover it.
const LONGEST: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn each_name_is_found_in_any_case_and_nothing_else() {
        for &name in Name::ALL {
            let text = name.as_str().as_bytes();
            assert_eq!(Name::find(text), name);
            assert_eq!(Name::find(&text.to_ascii_lowercase()), name);
            assert_eq!(Name::find(&text.to_ascii_uppercase()), name);
            for at in 0..text.len() {
                for byte in 0..=u8::MAX {
                    let mut other = text.to_vec();
                    other[at] = byte;
                    let same = other.eq_ignore_ascii_case(text);
                    assert_eq!(Name::find(&other) == name, same, "{other:?}");
                }
                assert_ne!(Name::find(&text[..at]), name);
            }
            let longer: Vec<u8> = text.iter().copied().chain([b's']).collect();
            assert_ne!(Name::find(&longer), name);
        }
        assert_eq!(Name::find(b""), Name::Unknown);
        assert_eq!(Name::find(&[b'a'; 40]), Name::Unknown);
    }

    #[test]
    fn what_stands_behind_a_name_does_not_matter() {
        for &name in Name::ALL {
            for behind in 0..9 {
                let mut bytes = name.as_str().as_bytes().to_vec();
                let len = bytes.len();
                bytes.extend_from_slice(&b": value, value"[..behind]);
                assert_eq!(Name::find_before(&bytes, len), name);
            }
        }
    }
}
