//! `dreamserver certs`: the certificates of the running server; a new one for a name, now; one from elsewhere.

use super::announce::{Speaker, is_coloured};
use super::args::{CertsArguments, CertsCommand, ImportArguments};
use super::list::{Column, age, lay_out};
use super::{USAGE, fail, print};
use crate::acme;
use crate::credential::Credential;
use crate::state;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Does what the arguments say. 1 if something failed.
pub(super) fn certs(
    speaker: &Speaker,
    state: Option<&Path>,
    arguments: &CertsArguments,
) -> ExitCode {
    match &arguments.command {
        None => show(speaker, arguments.name.as_deref(), arguments.json),
        Some(CertsCommand::Renew { name }) => renew(speaker, name),
        Some(CertsCommand::Import(arguments)) => import(speaker, state, arguments),
    }
}

fn show(speaker: &Speaker, name: Option<&str>, as_json: bool) -> ExitCode {
    let rows = match all(speaker, name) {
        Ok(rows) => rows,
        Err(code) => return code,
    };
    match as_json {
        true => print(format!("{}\n", Value::Array(rows)).as_bytes()),
        false => print(table(&rows, now(), is_coloured()).as_bytes()),
    }
}

/// Every certificate, page by page, or those of one name.
fn all(speaker: &Speaker, name: Option<&str>) -> Result<Vec<Value>, ExitCode> {
    let mut rows = Vec::new();
    let mut command = name.map_or("certs".to_owned(), |name| format!("certs {name}"));
    loop {
        let (words, body) = speaker.send(&command)?;
        let lines = body.lines().map(serde_json::from_str::<Value>);
        rows.extend(lines.filter_map(Result::ok));
        match words.split_once("next=") {
            Some((_, next)) => command = format!("certs after={next}"),
            None => return Ok(rows),
        }
    }
}

/// The certificates in columns, and below them what failed.
fn table(rows: &[Value], now: u64, coloured: bool) -> String {
    if rows.is_empty() {
        return "there are no certificates: they come with names that are served, by `dreamserver trust` in development\n".into();
    }
    let columns = [
        Column::words("NAME", rows, |row| text(row, "name")),
        Column::words("KIND", rows, |row| text(row, "kind")),
        Column::words("ISSUER", rows, |row| Some(short(row["issuer"].as_str()?))),
        Column::words("EXPIRES", rows, |row| {
            Some(when(row["not_after"].as_u64()?, now))
        }),
        Column::words("RENEWAL", rows, |row| {
            Some(when(row["renewal"].as_u64()?, now))
        }),
        Column::words("STATE", rows, |row| Some(state_of(row, now).into())),
    ];
    let mut table = lay_out(&columns, coloured);
    for row in rows {
        if let Some(error) = row["error"].as_str() {
            let name = row["name"].as_str().unwrap_or_default();
            table.push_str(&format!("\n{name}: {error}\n"));
            if let Some(advice) = row["advice"].as_str() {
                table.push_str(&format!("  next step: {advice}\n"));
            }
            if let Some(next) = row["next"].as_u64() {
                table.push_str(&format!("  tried again: {}\n", when(next, now)));
            }
        }
    }
    table
}

fn text(row: &Value, key: &str) -> Option<String> {
    row[key].as_str().map(str::to_owned)
}

/// How a certificate is, in a word or two.
fn state_of(row: &Value, now: u64) -> &'static str {
    let end = row["not_after"].as_u64();
    let is_failing = row["error"].is_string();
    match end {
        None if row["ordered"] == true => "ordered",
        None if is_failing => "failed",
        None => "none",
        Some(end) if end <= now => "ended",
        Some(_) if is_failing => "failing",
        Some(_) if row["ordered"] == true => "ordered",
        Some(end) if end < now + SOON && row["renewal"].is_null() => "ends soon",
        Some(_) => "valid",
    }
}

/// Milliseconds of 14 days.
const SOON: u64 = 14 * 24 * 3600 * 1000;

/// The day, and how far away it is.
fn when(time: u64, now: u64) -> String {
    let day = jiff::Timestamp::from_millisecond(i64::try_from(time).unwrap_or(i64::MAX));
    let day = day.map_or_else(|_| "?".into(), |day| day.strftime("%Y-%m-%d").to_string());
    match time > now {
        true => format!("{day} (in {})", age((time - now) / 1000)),
        false => format!("{day} ({} ago)", age((now - time) / 1000)),
    }
}

/// Who it was, as far as people want to know: the organisation, and the name if that is another one.
fn short(issuer: &str) -> String {
    let part = |key: &str| {
        let mut parts = issuer.split(", ");
        parts.find_map(|part| part.strip_prefix(key))
    };
    let whole = match (part("O="), part("CN=")) {
        (Some(organisation), Some(name)) if !name.contains(organisation) => {
            format!("{organisation}, {name}")
        }
        (_, Some(name)) => name.to_owned(),
        (Some(organisation), None) => organisation.to_owned(),
        (None, None) => issuer.to_owned(),
    };
    match whole.char_indices().nth(WIDEST) {
        Some((end, _)) => format!("{}…", &whole[..end]),
        None => whole,
    }
}

/// Letters of an issuer in a column.
const WIDEST: usize = 32;

fn renew(speaker: &Speaker, name: &str) -> ExitCode {
    let (words, _) = match speaker.send(&format!("renew {name}")) {
        Ok(reply) => reply,
        Err(code) => return code,
    };
    if let Some(end) = end_in(&words) {
        return print(format!("{name} has a new certificate, until {end}\n").as_bytes());
    }
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        sleep(GLANCE);
        let rows = match all(speaker, Some(name)) {
            Ok(rows) => rows,
            Err(code) => return code,
        };
        let is_over = |row: &&Value| row["kind"] == "public" && row["ordered"] == false;
        if let Some(row) = rows.iter().find(is_over) {
            return tell_end(name, row);
        }
    }
    print(format!("the order for {name} goes on in the background, and the certificate that there is serves until then; `dreamserver certs {name}` tells how it ends\n").as_bytes())
}

/// An order takes some seconds; who waits for longer than that wants to do something else.
const PATIENCE: Duration = Duration::from_secs(20);
const GLANCE: Duration = Duration::from_millis(250);

fn tell_end(name: &str, row: &Value) -> ExitCode {
    match (row["error"].as_str(), row["not_after"].as_u64()) {
        (Some(error), _) => {
            let advice = row["advice"]
                .as_str()
                .unwrap_or("it is tried again by itself");
            fail(&format!(
                "there is no new certificate for {name}: {error}\nnext step: {advice}"
            ))
        }
        (None, Some(end)) => {
            let end = when(end, now());
            print(format!("{name} has a new certificate, until {end}\n").as_bytes())
        }
        (None, None) => fail(&format!("nothing is served by the name {name} any more")),
    }
}

/// The end of a certificate, as a reply names it.
fn end_in(words: &str) -> Option<String> {
    let (_, end) = words.split_once("not_after=")?;
    Some(when(end.parse().ok()?, now()))
}

/// A certificate in files.
struct Pair {
    cert: PathBuf,
    key: PathBuf,
}

fn import(speaker: &Speaker, state: Option<&Path>, arguments: &ImportArguments) -> ExitCode {
    let pairs = match (&arguments.from, &arguments.cert, &arguments.key) {
        (Some(folder), _, _) => pairs_in(folder),
        (None, Some(cert), Some(key)) => vec![Pair {
            cert: cert.clone(),
            key: key.clone(),
        }],
        _ => Vec::new(),
    };
    if pairs.is_empty() {
        let _ = fail(
            "there is no fullchain.pem with a privkey.pem in that folder, nor in those below it",
        );
        return ExitCode::from(USAGE);
    }
    let running = speaker.running_state();
    let given = state.map(Path::to_owned).or(running);
    let folder = match given.map_or_else(|| state::folder(None), Ok) {
        Ok(folder) => folder,
        Err(error) => return fail(&error.to_string()),
    };
    let mut code = ExitCode::SUCCESS;
    for pair in &pairs {
        if let Err(failed) = import_pair(speaker, &folder, pair, &arguments.names) {
            code = failed;
        }
    }
    code
}

/// The folder itself, or those below it, as certbot keeps them: `fullchain.pem` and `privkey.pem`.
fn pairs_in(folder: &Path) -> Vec<Pair> {
    let pair = |folder: &Path| {
        let (cert, key) = (folder.join("fullchain.pem"), folder.join("privkey.pem"));
        (cert.exists() && key.exists()).then_some(Pair { cert, key })
    };
    let below = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut below: Vec<PathBuf> = below.map(|entry| entry.path()).collect();
    below.sort();
    let all = std::iter::once(folder.to_owned()).chain(below);
    all.filter_map(|folder| pair(&folder)).collect()
}

fn import_pair(
    speaker: &Speaker,
    state: &Path,
    pair: &Pair,
    names: &[String],
) -> Result<(), ExitCode> {
    let read = |path: &Path| {
        std::fs::read(path)
            .map_err(|error| fail(&format!("{} cannot be read: {error}", path.display())))
    };
    let (chain, key) = (read(&pair.cert)?, read(&pair.key)?);
    let names = match names {
        [] => names_of(&pair.cert, &chain, &key)?,
        names => names.to_vec(),
    };
    let mut result = Ok(());
    for name in &names {
        if let Err(error) = acme::leave(state, name, &chain, &key) {
            result = Err(fail(&format!("{name}: {error} ({})", pair.cert.display())));
            continue;
        }
        if let Err(code) = tell(speaker, name) {
            result = Err(code);
        }
    }
    result
}

/// All names that the certificate is for; a wildcard is for names that only people know.
fn names_of(cert: &Path, chain: &[u8], key: &[u8]) -> Result<Vec<String>, ExitCode> {
    let credential = Credential::from_pem(chain, key)
        .map_err(|error| fail(&format!("{}: {error}", cert.display())))?;
    let plain = credential
        .names()
        .iter()
        .filter(|name| !name.starts_with('*'));
    let names: Vec<String> = plain.cloned().collect();
    match names.is_empty() {
        false => Ok(names),
        true => {
            let found = credential.names().join(", ");
            let cert = cert.display();
            Err(fail(&format!(
                "{cert} is for {found}: say for which names to use it, such as `dreamserver certs import app.example.com --cert …`"
            )))
        }
    }
}

/// Has the server look at what was left for it, if one runs.
fn tell(speaker: &Speaker, name: &str) -> Result<(), ExitCode> {
    let Some(reply) = speaker.tell(&format!("import {name}")) else {
        let kept = format!("{name}: kept for the next start, as no server runs now\n");
        let _ = print(kept.as_bytes());
        return Ok(());
    };
    match reply {
        Ok(words) => {
            let end = end_in(&words).unwrap_or_default();
            let _ = print(format!("{name}: in use from now on, until {end}\n").as_bytes());
            Ok(())
        }
        Err(why) => Err(fail(&format!("{name}: the server does not use it: {why}"))),
    }
}

fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_failed_stands_below_the_columns() {
        const DAY: u64 = 24 * 3600 * 1000;
        let rows = [
            json!({ "name": "a.com", "kind": "public", "issuer": "C=US, O=Let's Encrypt, CN=E5", "not_after": 60 * DAY,
                "renewal": 30 * DAY, "ordered": false }),
            json!({ "name": "b.com", "kind": "public", "ordered": false, "error": "no", "advice": "do", "next": 2 * DAY }),
            json!({ "name": "c.com", "kind": "file", "issuer": "CN=us", "not_after": 3 * DAY, "ordered": false }),
        ];
        let expected = "\
NAME   KIND    ISSUER             EXPIRES              RENEWAL              STATE
a.com  public  Let's Encrypt, E5  1970-03-02 (in 59d)  1970-01-31 (in 29d)  valid
b.com  public  -                  -                    -                    failed
c.com  file    us                 1970-01-04 (in 2d)   -                    ends soon

b.com: no
  next step: do
  tried again: 1970-01-03 (in 1d)
";
        assert_eq!(table(&rows, DAY, false), expected);
        let coloured = table(&rows, DAY, true);
        for cell in [
            "\x1b[32mvalid    \x1b[0m",
            "\x1b[31mfailed   \x1b[0m",
            "\x1b[33mends soon\x1b[0m",
        ] {
            assert!(coloured.contains(cell), "{coloured:?}");
        }
        assert!(table(&[], 0, false).contains("dreamserver trust"));
    }

    #[test]
    fn issuers_are_short() {
        for (issuer, shown) in [
            ("C=US, O=Let's Encrypt, CN=R3", "Let's Encrypt, R3"),
            ("CN=Pebble Intermediate CA 1a", "Pebble Intermediate CA 1a"),
            (
                "O=mkcert development CA, CN=mkcert development CA",
                "mkcert development CA",
            ),
            ("O=us", "us"),
            ("odd", "odd"),
            ("", ""),
        ] {
            assert_eq!(short(issuer), shown);
        }
        assert_eq!(short(&"é".repeat(100)).chars().count(), WIDEST + 1);
    }
}
