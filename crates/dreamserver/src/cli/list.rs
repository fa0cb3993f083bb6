//! What `dreamserver list` shows: the names in columns, or as JSON.

use serde_json::{Value, json};

/// A line of the server's list as JSON, with the same names.
pub(super) fn name(line: &str) -> Option<Value> {
    let mut words = line.split(' ');
    let mut name = json!({ "domain": words.next()?, "port": value_of(words.next()?) });
    for (key, value) in words.filter_map(|word| word.split_once('=')) {
        name[key] = value_of(value);
    }
    Some(name)
}

/// A number, if it is one.
pub(super) fn value_of(text: &str) -> Value {
    text.parse::<u64>()
        .map_or_else(|_| json!(text), |number| json!(number))
}

/// Names in columns; `coloured` for a terminal.
pub(super) fn table(names: &[Value], coloured: bool) -> String {
    if names.is_empty() {
        return "nothing is announced; `dreamserver add example.com 5665` does it\n".to_owned();
    }
    let mut columns: Vec<Column> = COLUMNS.iter().map(|make| make(names)).collect();
    // Most names stay until they are removed.
    columns.retain(|column| column.title != "UNTIL" || column.cells.iter().any(|cell| cell != "-"));
    lay_out(&columns, coloured)
}

/// Columns beside each other; `coloured` for a terminal.
pub(super) fn lay_out(columns: &[Column], coloured: bool) -> String {
    let mut table = String::new();
    let titles: Vec<String> = columns.iter().map(Column::heading).collect();
    push_line(&mut table, &titles);
    let rows = columns.first().map_or(0, |column| column.cells.len());
    for row in 0..rows {
        let cells: Vec<String> = columns
            .iter()
            .map(|column| column.cell(row, coloured))
            .collect();
        push_line(&mut table, &cells);
    }
    table
}

fn push_line(table: &mut String, cells: &[String]) {
    table.push_str(cells.join("  ").trim_end());
    table.push('\n');
}

/// One column, and what it says of each name.
pub(super) struct Column {
    title: &'static str,
    cells: Vec<String>,
    width: usize,
    is_number: bool,
}

/// From left to right.
const COLUMNS: [fn(&[Value]) -> Column; 7] = [
    |names| Column::words("DOMAIN", names, |name| text(&name["domain"])),
    |names| Column::numbers("PORT", names, place),
    |names| Column::words("OWNER", names, |name| text(&name["owner"])),
    |names| Column::numbers("AGE", names, |name| name["age"].as_u64().map(age)),
    |names| Column::words("HEALTH", names, health),
    |names| Column::numbers("REQUESTS", names, |name| text(&name["requests"])),
    |names| Column::words("UNTIL", names, until),
];

impl Column {
    pub(super) fn words(
        title: &'static str,
        names: &[Value],
        cell: impl Fn(&Value) -> Option<String>,
    ) -> Column {
        let cell = |name| cell(name).unwrap_or_else(|| "-".into());
        let cells: Vec<String> = names.iter().map(cell).collect();
        let lengths = cells.iter().map(|cell| cell.chars().count());
        Column {
            title,
            width: lengths.fold(title.len(), usize::max),
            cells,
            is_number: false,
        }
    }

    fn numbers(
        title: &'static str,
        names: &[Value],
        cell: impl Fn(&Value) -> Option<String>,
    ) -> Column {
        Column {
            is_number: true,
            ..Column::words(title, names, cell)
        }
    }

    fn heading(&self) -> String {
        self.pad(self.title)
    }

    fn cell(&self, row: usize, coloured: bool) -> String {
        let text = &*self.cells[row];
        let padded = self.pad(text);
        match (coloured, text) {
            (true, "up" | "valid") => format!("\x1b[32m{padded}\x1b[0m"),
            (true, "down" | "ended" | "failed" | "failing") => format!("\x1b[31m{padded}\x1b[0m"),
            (true, "ends soon" | "ordered") => format!("\x1b[33m{padded}\x1b[0m"),
            _ => padded,
        }
    }

    fn pad(&self, text: &str) -> String {
        let width = self.width;
        match self.is_number {
            true => format!("{text:>width$}"),
            false => format!("{text:width$}"),
        }
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// Whether the port answers. A name that waits for that is still served from another one.
fn health(name: &Value) -> Option<String> {
    match name["from"] {
        Value::Null => text(&name["health"]),
        _ => Some("waiting".into()),
    }
}

/// The port, and the machine if it is another one.
fn place(name: &Value) -> Option<String> {
    let port = text(&name["port"])?;
    Some(match text(&name["host"]) {
        Some(host) if host.contains(':') => format!("[{host}]:{port}"),
        Some(host) => format!("{host}:{port}"),
        None => port,
    })
}

/// When a name ends by itself.
fn until(name: &Value) -> Option<String> {
    let ends = ["ttl", "pid"]
        .iter()
        .filter_map(|key| Some(format!("{key} {}", text(&name[*key])?)));
    let ends: Vec<String> = ends.collect();
    (!ends.is_empty()).then(|| ends.join(", "))
}

/// A time in the largest unit that fits.
pub(super) fn age(seconds: u64) -> String {
    match seconds {
        ..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: [&str; 3] = [
        "a.example 80 owner=1000 ttl=30s pid=7 age=59 requests=12 failed=1 health=up",
        "*.long.example 5665 host=::1 age=7200 requests=0 failed=0 health=down",
        "old.example 1 requests=3 failed=0",
    ];

    fn names() -> Vec<Value> {
        LINES.iter().filter_map(|line| name(line)).collect()
    }

    #[test]
    fn columns_are_aligned() {
        let expected = "\
DOMAIN              PORT  OWNER  AGE  HEALTH  REQUESTS  UNTIL
a.example             80  1000   59s  up            12  ttl 30s, pid 7
*.long.example  [::1]:5665  -       2h  down           0  -
old.example            1  -        -  -              3  -
";
        let table = table(&names(), false);
        let squeezed = |text: &str| -> Vec<Vec<String>> {
            let words = |line: &str| line.split_whitespace().map(str::to_owned).collect();
            text.lines().map(words).collect()
        };
        assert_eq!(squeezed(&table), squeezed(expected));
        let at = |line: &str, word: &str| line.find(word).unwrap();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(at(lines[0], "HEALTH"), at(lines[1], "up"));
        assert_eq!(at(lines[0], "HEALTH"), at(lines[2], "down"));
        assert!(!table.contains('\x1b'));
    }

    #[test]
    fn what_no_name_has_is_no_column_and_a_terminal_sees_colours() {
        let names: Vec<Value> = name(LINES[1]).into_iter().collect();
        let table = table(&names, true);
        assert!(!table.contains("UNTIL"));
        assert!(table.contains("\x1b[31mdown  \x1b[0m"), "{table:?}");
    }

    #[test]
    fn json_has_the_names_of_the_list() {
        let first = &names()[0];
        assert_eq!(first["requests"], 12);
        assert_eq!(first["ttl"], "30s");
        assert_eq!(first["health"], "up");
    }
}
