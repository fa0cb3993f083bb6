//! The target of a redirect, with places where parts of the request go.

use std::str::FromStr;

/// A text such as `https://new.example.com{path}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Template {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Piece {
    Text(String),
    Host,
    Path,
    Query,
}

impl Template {
    /// The text with the parts of a request in their places. The query is kept where the text has none of its own.
    /// Request paths and queries hold visible ASCII only, so the outcome may stand in a field.
    pub fn expand(&self, host: &[u8], path: &[u8], query: Option<&[u8]>) -> Vec<u8> {
        let mut target = Vec::with_capacity(self.text.len() + path.len());
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => target.extend_from_slice(text.as_bytes()),
                Piece::Host => target.extend_from_slice(host),
                // Two slashes at the front would be read as the name of another host (RFC 3986 §4.2).
                Piece::Path if target.is_empty() => {
                    let slashes = path.iter().take_while(|byte| **byte == b'/').count();
                    target.extend_from_slice(&path[slashes.saturating_sub(1)..]);
                }
                Piece::Path => target.extend_from_slice(path),
                Piece::Query => target.extend_from_slice(query.unwrap_or_default()),
            }
        }
        if let Some(query) = query.filter(|_| self.keeps_query()) {
            target.push(b'?');
            target.extend_from_slice(query);
        }
        target
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Only a target with the request's path is about the same thing, so that the query still means something.
    fn keeps_query(&self) -> bool {
        self.pieces.contains(&Piece::Path) && !self.text.contains(['?', '#'])
    }
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Template, String> {
        let begins_well = ["http://", "https://", "/", "{path}"]
            .iter()
            .any(|begin| text.starts_with(begin));
        if !begins_well {
            return Err("the target of a redirect begins with `https://`, `http://` or `/`".into());
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(
                "the target of a redirect has no blanks and only ASCII: escape others as %20"
                    .into(),
            );
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or("`{` without its closing `}`")?;
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(placeholder(name)?);
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        pieces.retain(|piece| *piece != Piece::Text(String::new()));
        Ok(Template {
            text: text.to_owned(),
            pieces,
        })
    }
}

fn placeholder(name: &str) -> Result<Piece, String> {
    match name {
        "host" => Ok(Piece::Host),
        "path" => Ok(Piece::Path),
        "query" => Ok(Piece::Query),
        _ => Err(format!(
            "`{{{name}}}` is not known: there are {{host}}, {{path}} and {{query}}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str, path: &str, query: Option<&str>) -> String {
        let template: Template = text.parse().unwrap();
        let target = template.expand(b"old.example", path.as_bytes(), query.map(str::as_bytes));
        String::from_utf8(target).unwrap()
    }

    #[test]
    fn parts_go_to_their_places() {
        assert_eq!(
            expand("https://n{path}", "/a", Some("b=c")),
            "https://n/a?b=c"
        );
        assert_eq!(
            expand("https://{host}/x", "/a", Some("b=c")),
            "https://old.example/x"
        );
        assert_eq!(
            expand("/s?p={path}&{query}", "/a", Some("b=c")),
            "/s?p=/a&b=c"
        );
        assert_eq!(expand("https://n{path}", "//a", None), "https://n//a");
    }

    #[test]
    fn a_path_is_never_read_as_a_host() {
        assert_eq!(expand("{path}", "//evil.example", None), "/evil.example");
    }

    #[test]
    fn what_is_no_target_is_refused() {
        for wrong in [
            "",
            "new.example",
            "javascript:x",
            "https://a b",
            "/{x}",
            "/{path",
            "/\u{e9}",
        ] {
            assert!(wrong.parse::<Template>().is_err(), "{wrong}");
        }
    }
}
