//! `Content-Type` by file name extension.
//!
//! A table of our own for what web sites are made of, because a wrong type there breaks pages (we send `nosniff`);
//! `mime_guess` for the long tail.

use std::borrow::Cow;

/// The media type of a file name, with the charset for text (RFC 9110 §8.3). Text is taken for UTF-8, which all of the web's
/// own formats have become; formats that name their encoding themselves (XML, JSON) are left to do so.
pub fn content_type(name: &[u8]) -> Cow<'static, str> {
    let Some(extension) = extension(name) else {
        return Cow::Borrowed(UNKNOWN);
    };
    let known = TYPES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(extension));
    if let Some((_, media_type)) = known {
        return Cow::Borrowed(media_type);
    }
    match mime_guess::from_ext(extension).first_raw() {
        Some(text) if text.starts_with("text/") => Cow::Owned(format!("{text}; charset=utf-8")),
        Some(media_type) => Cow::Borrowed(media_type),
        None => Cow::Borrowed(UNKNOWN),
    }
}

fn extension(name: &[u8]) -> Option<&str> {
    let file = name.rsplit(|&byte| byte == b'/').next()?;
    let dot = memchr::memrchr(b'.', file)?;
    std::str::from_utf8(&file[dot + 1..]).ok()
}

/// What says nothing, so that a client saves it (RFC 9110 §8.3).
const UNKNOWN: &str = "application/octet-stream";

/// The most common first.
const TYPES: &[(&str, &str)] = &[
    ("html", "text/html; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    // RFC 9239 §6: text/javascript is the one name.
    ("js", "text/javascript; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("cjs", "text/javascript; charset=utf-8"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("svg", "image/svg+xml"),
    ("webp", "image/webp"),
    ("avif", "image/avif"),
    ("gif", "image/gif"),
    ("ico", "image/x-icon"),
    ("woff2", "font/woff2"),
    ("woff", "font/woff"),
    ("ttf", "font/ttf"),
    ("otf", "font/otf"),
    ("json", "application/json"),
    ("map", "application/json"),
    ("webmanifest", "application/manifest+json"),
    ("jsonld", "application/ld+json"),
    ("geojson", "application/geo+json"),
    ("wasm", "application/wasm"),
    ("htm", "text/html; charset=utf-8"),
    ("xhtml", "application/xhtml+xml"),
    ("xml", "application/xml"),
    ("rss", "application/rss+xml"),
    ("atom", "application/atom+xml"),
    ("txt", "text/plain; charset=utf-8"),
    ("log", "text/plain; charset=utf-8"),
    ("md", "text/markdown; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("vtt", "text/vtt; charset=utf-8"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("pdf", "application/pdf"),
    ("mp4", "video/mp4"),
    ("m4v", "video/mp4"),
    ("webm", "video/webm"),
    ("mov", "video/quicktime"),
    // Not TypeScript: browsers do not run it, players do need HLS (RFC 8216 §4).
    ("ts", "video/mp2t"),
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("mpd", "application/dash+xml"),
    ("mp3", "audio/mpeg"),
    ("m4a", "audio/mp4"),
    ("ogg", "audio/ogg"),
    ("opus", "audio/ogg"),
    ("wav", "audio/wav"),
    ("flac", "audio/flac"),
    ("jxl", "image/jxl"),
    ("gltf", "model/gltf+json"),
    ("glb", "model/gltf-binary"),
    ("zip", "application/zip"),
    ("gz", "application/gzip"),
    ("zst", "application/zstd"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_names() {
        for (name, expected) in [
            ("index.html", "text/html; charset=utf-8"),
            ("a.b/INDEX.HTML", "text/html; charset=utf-8"),
            ("app.min.js", "text/javascript; charset=utf-8"),
            ("logo.svg", "image/svg+xml"),
            ("site.webmanifest", "application/manifest+json"),
            ("code.wasm", "application/wasm"),
            ("main.rs", "text/x-rust; charset=utf-8"),
            ("a.tar", "application/x-tar"),
            ("README", "application/octet-stream"),
            ("a.b/README", "application/octet-stream"),
            ("dot.", "application/octet-stream"),
            ("what.nobody-knows", "application/octet-stream"),
        ] {
            assert_eq!(content_type(name.as_bytes()), expected, "{name}");
        }
        assert_eq!(content_type(b"a.\xff"), UNKNOWN);
    }

    #[test]
    fn every_type_is_one() {
        for (extension, media_type) in TYPES {
            assert!(media_type.contains('/'), "{extension}");
            assert_eq!(
                media_type.starts_with("text/"),
                media_type.ends_with("; charset=utf-8")
            );
            assert_eq!(*extension, extension.to_ascii_lowercase());
        }
    }
}
