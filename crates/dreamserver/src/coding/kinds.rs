//! Which media types are worth the work: text in its many names, and what is not packed already.

/// Does content of this type become much smaller? `media_type` is the value of a `Content-Type` field.
pub fn is_compressible(media_type: &[u8]) -> bool {
    let name = essence(media_type);
    let begin = |text: &[u8]| {
        name.get(..text.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(text))
    };
    let end = |text: &&[u8]| {
        let end = name.len().checked_sub(text.len()).map(|at| &name[at..]);
        end.is_some_and(|end| end.eq_ignore_ascii_case(text))
    };
    // What structured data says of itself (RFC 6839).
    let structured = [&b"+json"[..], b"+xml", b"+yaml", b"+text"];
    begin(b"text/")
        || KINDS.iter().any(|kind| name.eq_ignore_ascii_case(kind))
        || structured.iter().any(end)
}

/// Is `media_type`, the value of a `Content-Type` field, one of `types`?
pub fn is_one_of(media_type: &[u8], types: &[String]) -> bool {
    let name = essence(media_type);
    let mut types = types.iter();
    types.any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// Is this a stream of events, of which each is to arrive when it is sent?
pub fn is_event_stream(media_type: &[u8]) -> bool {
    essence(media_type).eq_ignore_ascii_case(b"text/event-stream")
}

/// The type without its parameters.
fn essence(media_type: &[u8]) -> &[u8] {
    let end = memchr::memchr(b';', media_type).unwrap_or(media_type.len());
    media_type[..end].trim_ascii_end()
}

/// Beside `text/*` and the structured ones. WOFF fonts, images, audio, video and archives are packed already.
const KINDS: &[&[u8]] = &[
    b"application/javascript",
    b"application/json",
    b"application/x-javascript",
    b"application/ecmascript",
    b"application/xml",
    b"application/xml-dtd",
    b"application/wasm",
    b"application/yaml",
    b"application/x-yaml",
    b"application/toml",
    b"application/json-seq",
    b"application/jsonl",
    b"application/ndjson",
    b"application/x-ndjson",
    b"application/graphql",
    b"application/sql",
    b"application/rtf",
    b"application/x-sh",
    b"application/vnd.apple.mpegurl",
    b"application/vnd.ms-fontobject",
    b"application/x-font-ttf",
    b"application/x-font-otf",
    b"font/ttf",
    b"font/otf",
    b"font/collection",
    b"image/bmp",
    b"image/x-icon",
    b"image/vnd.microsoft.icon",
    b"model/gltf-binary",
    b"model/stl",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_and_what_is_packed_is_not() {
        for yes in [
            "text/html; charset=utf-8",
            "TEXT/CSS",
            "text/event-stream",
            "application/json",
            "application/json ;charset=utf-8",
            "application/ld+json",
            "image/svg+xml",
            "application/wasm",
            "font/ttf",
        ] {
            assert!(is_compressible(yes.as_bytes()), "{yes}");
        }
        for no in [
            "",
            "application/octet-stream",
            "image/png",
            "font/woff2",
            "video/mp4",
            "application/zip",
            "application/jsonx",
            "x-text/html",
            "application/grpc",
        ] {
            assert!(!is_compressible(no.as_bytes()), "{no}");
        }
        assert!(!is_compressible(&[b'a'; 200]));
    }

    #[test]
    fn event_streams() {
        assert!(is_event_stream(b"text/event-stream; charset=utf-8"));
        assert!(!is_event_stream(b"text/event-streams"));
    }
}
