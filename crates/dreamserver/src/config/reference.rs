//! The reference page and the JSON Schema, written from the definitions of the options.

use super::file::{
    AcmeTable, AuthorityTable, CompressTable, ControlTable, EabTable, FieldsTable, FileTable,
    FilesTable, HeadersTable, ListenTable, LogTable, RedirectTable, RespondTable, RouteTable,
    SiteTable, TlsTable,
};
use crate::limits::{Limits, Timeouts};
use crate::options::{Entry, Options, table_schema};
use serde_json::{Value as Json, json};
use std::fmt::Write;

/// The reference page, in Markdown.
pub fn markdown() -> String {
    let mut page = String::from(INTRODUCTION);
    section::<FileTable>(&mut page);
    section::<ListenTable>(&mut page);
    section::<Limits>(&mut page);
    section::<Timeouts>(&mut page);
    section::<LogTable>(&mut page);
    section::<ControlTable>(&mut page);
    section::<AcmeTable>(&mut page);
    section::<AuthorityTable>(&mut page);
    section::<EabTable>(&mut page);
    section::<SiteTable>(&mut page);
    section::<TlsTable>(&mut page);
    section::<RouteTable>(&mut page);
    section::<FilesTable>(&mut page);
    section::<RedirectTable>(&mut page);
    section::<RespondTable>(&mut page);
    section::<HeadersTable>(&mut page);
    section::<FieldsTable>(&mut page);
    section::<CompressTable>(&mut page);
    page
}

/// The JSON Schema, for editors.
pub fn schema() -> String {
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "dreamserver.toml",
    });
    if let (Json::Object(schema), Json::Object(table)) = (&mut schema, table_schema::<FileTable>())
    {
        schema.extend(table);
    }
    format!("{schema:#}\n")
}

fn section<O: Options>(page: &mut String) {
    let title = match O::PATH {
        "the file" => "The file".to_owned(),
        path => format!("`{path}`"),
    };
    // Writing to a String cannot fail.
    let _ = write!(page, "\n## {title}\n\n{}\n\n", O::doc());
    for entry in O::entries() {
        let _ = writeln!(page, "{}", line(&entry));
    }
}

fn line(entry: &Entry) -> String {
    let default = match entry.default {
        "none" | "{}" | "[]" => String::new(),
        default => format!(", by default `{default}`"),
    };
    let doc = entry.doc.replace('\n', "\n  ");
    format!(
        "* **`{}`** — {}{default}.\n  {doc}",
        entry.name, entry.expects
    )
}

const INTRODUCTION: &str = "\
# The configuration file

<!-- Written by `dreamserver reference`. Change the definitions of the options, not this file. -->

The file is the one that `--config` names, else `./dreamserver.toml`, else `/etc/dreamserver/dreamserver.toml`.
Flags win over the file, the file over the defaults. `dreamserver check` tells what is wrong, all of it at once, and
`dreamserver reload` makes a running server read the file again. `{env.NAME}` in a text is replaced by the environment variable.

```toml
[sites.\"example.com\"]
proxy = \"localhost:5665\"

[sites.\"static.example.com\"]
files = \"/var/www/static\"

[[sites.\"api.example.com\".routes]]
path = \"/v1/*\"
proxy = [\"10.0.0.1:80\", \"10.0.0.2:80\"]
```
";
