//! That no text panics, and that every default is of its kind.

mod meaning;

use super::file::{FieldsTable, FileTable, HeadersTable, RedirectTable, RespondTable, SiteTable};
use super::*;
use proptest::prelude::*;

#[test]
fn every_default_is_of_its_kind() {
    let _ = (FileTable::default(), SiteTable::default());
    let _ = (HeadersTable::default(), FieldsTable::default());
    let _ = (RedirectTable::default(), RespondTable::default());
    let config = Config::default();
    assert_eq!(config.listen, [ListenAddress::Any(8080)]);
    assert!(!config.chose_listen);
    assert_eq!(config.limits.head, 16384);
    assert_eq!(config.sites.len(), 1);
}

fn word() -> impl Strategy<Value = String> {
    let words = [
        "listen",
        "limits",
        "sites",
        "log",
        "routes",
        "proxy",
        "files",
        "redirect",
        "respond",
        "headers",
        "request",
        "set",
        "path",
        "strip",
        "methods",
        "\"*.a.b\"",
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        "=",
        ".",
        ",",
        "\n",
        "\"/v1/*\"",
        "\"{env.X}\"",
        "\"1s\"",
        "1",
        "true",
        "\"é",
        "'",
        "#",
    ];
    proptest::sample::select(words.to_vec()).prop_map(str::to_owned)
}

proptest! {
    #[test]
    fn no_words_panic(words in proptest::collection::vec(word(), 0..40)) {
        if let Err(errors) = Config::parse(&words.join(" "), Path::new("x.toml")) {
            prop_assert!(errors.count() > 0 && !errors.to_string().is_empty());
        }
    }

    #[test]
    fn no_text_panics(text: String) {
        if let Err(errors) = Config::parse(&text, Path::new("x.toml")) {
            prop_assert!(!errors.to_string().is_empty());
        }
    }
}

#[test]
fn whether_somebody_chose_where_to_listen_is_known() {
    for (source, chosen) in [
        ("", false),
        ("log.level = 'warn'", false),
        ("[listen]\ntrusted_proxies = '10.0.0.0/8'", false),
        ("listen = ':8080'", true),
        ("listen={addresses=[':1']}", true),
    ] {
        let config = Config::parse(source, Path::new("dreamserver.toml")).unwrap();
        assert_eq!(config.chose_listen, chosen, "{source}");
    }
}
