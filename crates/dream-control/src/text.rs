//! Text that is safe to show: what strangers sent ends up in replies, logs and terminals.

/// `text` as part of a sentence: on one line, visible, without blanks around it, and cut where it is long.
pub fn quote(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() {
        return String::from("\"\"");
    }
    let mut chars = text.chars();
    let mut quoted = String::new();
    chars
        .by_ref()
        .take(QUOTED)
        .for_each(|c| push_visible(&mut quoted, c));
    if chars.next().is_some() {
        quoted.push('…');
    }
    quoted
}

/// `text` as one line: what would end the line, or could not be seen, is escaped. Doing it twice changes nothing.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    text.chars().for_each(|c| push_visible(&mut line, c));
    line
}

/// Control characters, line separators and what turns the direction of text are escaped as in Rust, `\u{202e}`.
fn push_visible(out: &mut String, c: char) {
    match c {
        // escape_debug() would escape these for a literal, which this is not.
        '"' | '\'' | '\\' => out.push(c),
        _ => out.extend(c.escape_debug()),
    }
}

/// Characters that a quotation shows: a long label fits, and a reply stays one short line.
const QUOTED: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_cannot_be_forged() {
        for (text, line) in [
            ("ok ping", "ok ping"),
            ("70000 is not 1–65535", "70000 is not 1–65535"),
            ("\"it's\" a\\b\tc", "\"it's\" a\\b\\tc"),
            ("a\nok ping", "a\\nok ping"),
            ("a\r\nb", "a\\r\\nb"),
            ("\0\u{1b}[2J\u{7f}\u{85}", "\\0\\u{1b}[2J\\u{7f}\\u{85}"),
            ("\u{202e}\u{2028}\u{200b}", "\\u{202e}\\u{2028}\\u{200b}"),
        ] {
            assert_eq!(one_line(text), line);
            assert_eq!(one_line(line), line);
        }
    }

    #[test]
    fn quotations_are_bounded() {
        assert_eq!(quote(""), "\"\"");
        assert_eq!(quote(" \t"), "\"\"");
        assert_eq!(quote("a\nb"), "a\\nb");
        assert_eq!(quote(&"é".repeat(64)), "é".repeat(64));
        assert_eq!(quote(&"é".repeat(65)), "é".repeat(64) + "…");
        assert!(quote(&"\u{e0001}".repeat(9000)).len() < 1000);
    }
}
