//! One definition per option: its name, kind, default and reason stand in one place.
//!
//! An option that is written in twelve places drifts apart in eleven of them. `options!` makes from one
//! definition the struct, its [`Default`], the decoding from TOML (which collects every problem instead of
//! stopping at the first), the reference page and the JSON Schema.

mod kinds;
mod problems;
mod suggest;

pub use kinds::{
    Address, Choice, Choices, Count, Endpoint, Flag, Listen, Map, Network, OneOrMany, Short,
    Shorthand, Size, Table, Text, Time, parse_size,
};
pub use problems::{Problem, Problems};

use serde_json::{Value as Json, json};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A TOML value and where it stands.
pub type Item<'a> = Spanned<DeValue<'a>>;

/// A way to write values of the type `T` in the configuration.
pub trait Kind<T> {
    /// May a person write `"none"` where the type is optional?
    const NONE: bool = false;

    /// What a person writes, for messages and the reference: `a size such as "16 KiB"`.
    fn expects() -> String;

    /// The value, or a problem and nothing.
    fn read(item: &Item<'_>, problems: &mut Problems<'_>) -> Option<T>;

    /// The value when the option is absent and its default is `none`.
    fn absent() -> Option<T> {
        None
    }

    /// The JSON Schema of what a person writes.
    fn schema() -> Json;
}

/// A table of options; `options!` implements it.
pub trait Options: Sized {
    /// The name of the table in the reference, such as `[limits]`.
    const PATH: &'static str;

    /// What the table is for.
    fn doc() -> String;

    /// Its options, in the order of their definition.
    fn entries() -> Vec<Entry>;

    /// Reads the table; what is absent or wrong gets its default.
    fn read(table: &DeTable<'_>, problems: &mut Problems<'_>) -> Self;
}

/// What is known of one option.
pub struct Entry {
    /// Its key.
    pub name: &'static str,
    /// What a person writes, such as `a size such as "16 KiB"`.
    pub expects: String,
    /// The default as it would be written, `none` if there is none.
    pub default: &'static str,
    /// What it does, and why the default is what it is.
    pub doc: String,
    /// The JSON Schema of its value, without the documentation.
    pub schema: Json,
}

impl Entry {
    /// The entry of an option with kind `K`.
    pub fn of<K: Kind<T>, T>(
        name: &'static str,
        default: &'static str,
        doc: &[&'static str],
    ) -> Entry {
        Entry {
            name,
            expects: K::expects(),
            default,
            doc: prose(doc),
            schema: K::schema(),
        }
    }
}

/// The JSON Schema of a table.
pub fn table_schema<O: Options>() -> Json {
    let properties: serde_json::Map<String, Json> =
        O::entries().into_iter().map(property).collect();
    json!({
        "type": "object",
        "description": O::doc(),
        "properties": properties,
        "additionalProperties": false,
    })
}

fn property(entry: Entry) -> (String, Json) {
    let mut schema = entry.schema;
    if let Json::Object(fields) = &mut schema {
        fields.insert("description".into(), entry.doc.into());
        if let Ok(default) = serde_json::from_str::<Json>(entry.default) {
            fields.insert("default".into(), default);
        }
    }
    (entry.name.into(), schema)
}

/// A value, where it stands, and whether reading it went without a problem.
#[derive(Clone, Debug)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Its bytes in the file.
    pub span: Range<usize>,
    /// Nothing within it was reported, so that what is missing in it was never written.
    pub clean: bool,
}

impl<T, K: Kind<T>> Kind<Located<T>> for K {
    const NONE: bool = K::NONE;

    fn expects() -> String {
        K::expects()
    }

    fn read(item: &Item<'_>, problems: &mut Problems<'_>) -> Option<Located<T>> {
        let before = problems.len();
        let value = K::read(item, problems)?;
        Some(Located {
            value,
            span: item.span(),
            clean: problems.len() == before,
        })
    }

    fn schema() -> Json {
        K::schema()
    }
}

impl<T, K: Kind<T>> Kind<Option<T>> for K {
    fn expects() -> String {
        match K::NONE {
            true => format!("{}, or `\"none\"`", K::expects()),
            false => K::expects(),
        }
    }

    fn read(item: &Item<'_>, problems: &mut Problems<'_>) -> Option<Option<T>> {
        if K::NONE && item.get_ref().as_str() == Some("none") {
            return Some(None);
        }
        K::read(item, problems).map(Some)
    }

    fn absent() -> Option<Option<T>> {
        Some(None)
    }

    fn schema() -> Json {
        match K::NONE {
            true => json!({ "anyOf": [K::schema(), { "const": "none" }] }),
            false => K::schema(),
        }
    }
}

/// Reads the option `name` of `table`; its default if it is absent or wrong.
pub fn read_option<K: Kind<T>, T>(
    table: &DeTable<'_>,
    name: &str,
    default: &'static str,
    problems: &mut Problems<'_>,
) -> T {
    table
        .get(name)
        .and_then(|item| K::read(item, problems))
        .unwrap_or_else(|| default_of::<K, T>(default))
}

/// The value of a default, which is written as in the file.
///
/// # Panics
/// If the default is not of its kind; a test reads every default of every table.
pub fn default_of<K: Kind<T>, T>(default: &'static str) -> T {
    let value = if default == "none" {
        K::absent()
    } else {
        let item = DeValue::parse(default).ok();
        item.and_then(|item| K::read(&item, &mut Problems::new(default)))
    };
    value.expect("every default is of its kind, and a test reads each of them")
}

/// Lines of documentation as one text.
pub fn prose(lines: &[&str]) -> String {
    let lines: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
    lines.join("\n")
}

/// The key of an option as it is written: some are words of the language that this is written in.
pub fn key(field: &'static str) -> &'static str {
    field.strip_prefix("r#").unwrap_or(field)
}

/// Defines a table of options. A default is written as in the file; `none` means that there is none.
macro_rules! options {
    ($(
        $(#[doc = $about:literal])*
        $vis:vis struct $Table:ident in $path:literal {
            $( $(#[doc = $doc:literal])* $field_vis:vis $field:ident: $Type:ty as $Kind:ty = $default:tt, )*
        }
    )*) => {$(
        $(#[doc = $about])*
        #[derive(Clone, Debug)]
        $vis struct $Table {
            $( $(#[doc = $doc])* $field_vis $field: $Type, )*
        }

        impl Default for $Table {
            fn default() -> $Table {
                $Table {
                    $( $field: $crate::options::default_of::<$Kind, $Type>(stringify!($default)), )*
                }
            }
        }

        impl $crate::options::Options for $Table {
            const PATH: &'static str = $path;

            fn doc() -> String {
                $crate::options::prose(&[$($about),*])
            }

            fn entries() -> Vec<$crate::options::Entry> {
                vec![$(
                    $crate::options::Entry::of::<$Kind, $Type>(
                        $crate::options::key(stringify!($field)), stringify!($default), &[$($doc),*],
                    )
                ),*]
            }

            fn read(
                table: &toml::de::DeTable<'_>,
                problems: &mut $crate::options::Problems<'_>,
            ) -> $Table {
                problems.check_keys(table, $path, &[$($crate::options::key(stringify!($field))),*]);
                $Table {
                    $( $field: $crate::options::read_option::<$Kind, $Type>(
                        table, $crate::options::key(stringify!($field)), stringify!($default), problems,
                    ), )*
                }
            }
        }
    )*};
}
pub(crate) use options;
