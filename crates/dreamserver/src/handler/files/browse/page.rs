//! How a listing looks: the page, one by itself without anything from elsewhere, and the JSON.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use jiff::tz::Offset;
use std::fmt::Write;
use std::sync::OnceLock;

use super::entries::{Entries, Entry};
use super::order::{Key, Order};
use crate::error::escape_html;

/// The forms that a listing comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Html,
    Json,
}

impl Form {
    fn content_type(self) -> &'static [u8] {
        match self {
            Form::Html => b"text/html; charset=utf-8",
            Form::Json => b"application/json; charset=utf-8",
        }
    }
}

/// Nothing but the style of the page itself, by its digest: what a name might smuggle in does nothing.
pub(super) fn policy() -> &'static str {
    static POLICY: OnceLock<String> = OnceLock::new();
    POLICY.get_or_init(|| {
        let digest = BASE64_STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
        format!("default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
    })
}

/// Writes a listing, a piece at a time.
pub(super) struct Writer {
    form: Form,
    order: Order,
    /// The folders that lead here, as clients write them: what is before the handler's own path, and each segment of that.
    crumbs: Vec<String>,
    step: Step,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Beginning,
    /// The entry with this number.
    Entry(usize),
    Done,
}

impl Writer {
    /// For a request with the path `whole`, of which `own` is the handler's. Both are clean, and end with a slash.
    pub(super) fn new(form: Form, order: Order, whole: &[u8], own: &[u8]) -> Writer {
        let before = whole.strip_suffix(own).unwrap_or_default();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let own = own
            .split(|&byte| byte == b'/')
            .filter(|segment| !segment.is_empty());
        Writer {
            form,
            order,
            crumbs: [before].into_iter().chain(own).map(text).collect(),
            step: Step::Beginning,
        }
    }

    pub(super) fn content_type(&self) -> &'static [u8] {
        self.form.content_type()
    }

    pub(super) fn is_done(&self) -> bool {
        self.step == Step::Done
    }

    /// The next piece; none at the end.
    pub(super) fn piece(&mut self, entries: &Entries) -> Option<Vec<u8>> {
        let mut out = String::new();
        let start = match self.step {
            Step::Done => return None,
            Step::Entry(at) => at,
            Step::Beginning => {
                self.begin(entries, &mut out);
                0
            }
        };
        for (at, name, entry) in entries.from(start) {
            if out.len() >= PIECE {
                self.step = Step::Entry(at);
                return Some(out.into_bytes());
            }
            match self.form {
                Form::Html => self.row(name, entry, &mut out),
                Form::Json => object(name, entry, at == 0, &mut out),
            }
        }
        out.push_str(match self.form {
            Form::Html => "</tbody>\n</table>\n</main>\n</html>\n",
            Form::Json => "\n]\n",
        });
        self.step = Step::Done;
        Some(out.into_bytes())
    }

    fn begin(&self, entries: &Entries, out: &mut String) {
        match self.form {
            Form::Json => out.push('['),
            Form::Html => {
                self.head(out);
                self.way(out);
                summary(entries, out);
                self.columns(out);
            }
        }
    }

    fn head(&self, out: &mut String) {
        out.push_str(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>",
        );
        for segment in self.crumbs.iter().skip(1) {
            out.push('/');
            show_plain(&decoded(segment), out);
        }
        add(
            out,
            format_args!("/</title>\n<style>{STYLE}</style>\n<main>\n"),
        );
    }

    /// The folders that lead here, each a link but for the last.
    fn way(&self, out: &mut String) {
        out.push_str("<nav aria-label=\"Folders\">\n<h1>");
        let query = self.query();
        let mut link = String::new();
        for (depth, segment) in self.crumbs.iter().enumerate() {
            link.push_str(segment);
            link.push('/');
            let label = if depth == 0 {
                "Home".to_owned()
            } else {
                decoded(segment)
            };
            if depth + 1 == self.crumbs.len() {
                out.push_str("<b aria-current=\"page\">");
                show(&label, out);
                out.push_str("</b>");
            } else {
                out.push_str("<a href=\"");
                escape_html(&link, out);
                out.push_str(&query);
                out.push_str("\">");
                show(&label, out);
                out.push_str("</a><i>/</i>");
            }
        }
        out.push_str("</h1>\n</nav>\n");
    }

    fn columns(&self, out: &mut String) {
        out.push_str("<table>\n<thead>\n<tr>");
        for (key, title) in [
            (Key::Name, "Name"),
            (Key::Size, "Size"),
            (Key::Date, "Modified (UTC)"),
        ] {
            let sorted = match (self.order.key == key, self.order.descending) {
                (false, _) => "",
                (true, false) => " aria-sort=\"ascending\"",
                (true, true) => " aria-sort=\"descending\"",
            };
            let query = self.order.on_click(key).query().replace('&', "&amp;");
            add(
                out,
                format_args!("<th scope=\"col\"{sorted}><a href=\"{query}\">{title}</a></th>"),
            );
        }
        out.push_str("</tr>\n</thead>\n<tbody>\n");
        if self.crumbs.len() > 1 {
            let query = self.query();
            add(
                out,
                format_args!(
                    "<tr class=\"up\"><td><a href=\"../{query}\">Parent folder</a></td><td></td><td></td></tr>\n"
                ),
            );
        }
    }

    fn row(&self, name: &[u8], entry: &Entry, out: &mut String) {
        let class = if entry.is_folder { "folder" } else { "file" };
        add(out, format_args!("<tr class=\"{class}\"><td><a href=\""));
        link(name, out);
        if entry.is_folder {
            out.push('/');
            out.push_str(&self.query());
        }
        out.push_str("\">");
        show(&String::from_utf8_lossy(name), out);
        match entry.is_folder {
            true => out.push_str("</a></td><td></td>"),
            false => add(
                out,
                format_args!(
                    "</a></td><td title=\"{} bytes\">{}</td>",
                    entry.size,
                    Size(entry.size)
                ),
            ),
        }
        match time(entry.modified) {
            Some(time) => add(
                out,
                format_args!(
                    "<td><time datetime=\"{}\">{}</time></td></tr>\n",
                    time.strftime("%Y-%m-%dT%H:%M:%SZ"),
                    time.strftime("%Y-%m-%d %H:%M")
                ),
            ),
            None => out.push_str("<td></td></tr>\n"),
        }
    }

    /// What keeps the order where another folder is opened, as HTML.
    fn query(&self) -> String {
        match self.order == Order::USUAL {
            true => String::new(),
            false => self.order.query().replace('&', "&amp;"),
        }
    }
}

fn summary(entries: &Entries, out: &mut String) {
    let (folders, files, bytes) = entries.sums();
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    add(
        out,
        format_args!(
            "<p>{folders} folder{}, {files} file{}, {}",
            plural(folders),
            plural(files),
            Size(bytes)
        ),
    );
    if entries.is_cut {
        out.push_str(" — there are more than can be listed: these are some of them");
    }
    out.push_str("</p>\n");
}

fn object(name: &[u8], entry: &Entry, is_first: bool, out: &mut String) {
    out.push_str(if is_first { "\n" } else { ",\n" });
    let text = serde_json::to_string(&String::from_utf8_lossy(name)).unwrap_or_default();
    add(out, format_args!("{{\"name\":{text},\"url\":\""));
    link(name, out);
    match entry.is_folder {
        true => out.push_str("/\",\"type\":\"folder\""),
        false => add(
            out,
            format_args!("\",\"type\":\"file\",\"size\":{}", entry.size),
        ),
    }
    if let Some(time) = time(entry.modified) {
        add(
            out,
            format_args!(",\"modified\":\"{}\"", time.strftime("%Y-%m-%dT%H:%M:%SZ")),
        );
    }
    out.push('}');
}

/// A name as a link to it (RFC 3986 §2.3): nothing in it means anything to HTML, JSON or a URL.
fn link(name: &[u8], out: &mut String) {
    for &byte in name {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(byte.into())
            }
            _ => add(out, format_args!("%{byte:02X}")),
        }
    }
}

/// A name for people, which changes nothing about the text around it.
fn show(name: &str, out: &mut String) {
    out.push_str("<bdi>");
    show_plain(name, out);
    out.push_str("</bdi>");
}

/// A name as text: what is no character to see is shown as one.
fn show_plain(name: &str, out: &mut String) {
    let is_unseen = |character: char| {
        // Line and paragraph separators, and what turns the direction of the text around it.
        character.is_control()
            || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    match name.contains(is_unseen) {
        true => escape_html(&name.replace(is_unseen, "\u{fffd}"), out),
        false => escape_html(name, out),
    }
}

/// A segment of a path as people read it.
fn decoded(segment: &str) -> String {
    let mut name = Vec::new();
    match super::super::path::decode_path(format!("/{segment}").as_bytes(), &mut name) {
        Ok(()) => String::from_utf8_lossy(&name).into_owned(),
        Err(_) => segment.to_owned(),
    }
}

/// The moment, if a calendar has it.
fn time(seconds: i64) -> Option<jiff::civil::DateTime> {
    let moment = Timestamp::from_second(seconds).ok()?;
    Some(Offset::UTC.to_datetime(moment))
}

/// Bytes as people read them: three digits and a unit.
struct Size(u64);

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 < 1000 {
            return write!(f, "{} B", self.0);
        }
        let (mut tenths, mut unit) = (u128::from(self.0) * 10 / 1000, 0);
        while tenths >= 9_999 && unit + 1 < UNITS.len() {
            (tenths, unit) = (tenths / 1000, unit + 1);
        }
        match tenths {
            0..100 => write!(f, "{}.{} {}", tenths / 10, tenths % 10, UNITS[unit]),
            _ => write!(f, "{} {}", tenths / 10, UNITS[unit]),
        }
    }
}

const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];

/// Writing to a text cannot fail.
fn add(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

/// Bytes of a piece: some three hundred entries.
const PIECE: usize = 32 * 1024;

/// The whole look of the page, inline because it must not cause further requests.
const STYLE: &str = include_str!("page.css");
