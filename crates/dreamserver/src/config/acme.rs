//! What `[acme]` means.

use super::file::{AcmeTable, EabTable};
use super::{AcmeOptions, Authority, Eab};
use crate::certificates::{IssuersError, load_issuers};
use crate::options::{Located, Problem, Problems};
use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::{alphabet, engine::DecodePaddingMode};
use std::path::{Path, PathBuf};

/// What the table says; the paths in it start at `folder`.
pub(super) fn options(
    table: &AcmeTable,
    folder: &Path,
    problems: &mut Problems<'_>,
) -> AcmeOptions {
    check_directory(&table.directory, problems);
    AcmeOptions {
        enabled: table.enabled,
        authority: Authority {
            directory: table.directory.value.clone(),
            root: root(table.root.as_ref(), folder, problems),
            eab: eab(table.eab.as_ref(), problems),
            profile: table.profile.clone(),
        },
        fallback: fallback(table, folder, problems),
        contact: table
            .contact
            .iter()
            .filter_map(|contact| uri(contact, problems))
            .collect(),
        terms: table.terms,
        resolver: table.resolver,
        preflight: table.preflight,
        budgets: table.budgets,
        wait: table.wait,
        timeout: table.timeout,
        http_port: table.http_port,
        tls_port: table.tls_port,
    }
}

/// What holds where nothing is written.
impl Default for AcmeOptions {
    fn default() -> AcmeOptions {
        options(&AcmeTable::default(), Path::new(""), &mut Problems::new(""))
    }
}

fn fallback(table: &AcmeTable, folder: &Path, problems: &mut Problems<'_>) -> Option<Authority> {
    let written = table.fallback.as_ref()?;
    let fallback = &written.value;
    let Some(directory) = &fallback.directory else {
        if written.clean {
            problem(written, "`fallback` needs a `directory`", problems);
        }
        return None;
    };
    check_directory(directory, problems);
    if directory.value == table.directory.value {
        let message = "`fallback` is the authority that it is to stand in for";
        problem(directory, message, problems);
    }
    Some(Authority {
        directory: directory.value.clone(),
        root: root(fallback.root.as_ref(), folder, problems),
        eab: eab(fallback.eab.as_ref(), problems),
        profile: fallback.profile.clone(),
    })
}

/// Everything goes over HTTPS (RFC 8555 §6.1).
fn check_directory(directory: &Located<String>, problems: &mut Problems<'_>) {
    let parsed = directory.value.parse::<http::Uri>();
    let is_https = |uri: http::Uri| uri.scheme_str() == Some("https") && uri.host().is_some();
    if !parsed.is_ok_and(is_https) {
        problems.push(
            Problem::new(directory.span.clone(), "this is not the URL of a directory")
                .help("it begins with `https://` and a host"),
        );
    }
}

/// A plain address of mail is meant as such.
fn uri(contact: &Located<String>, problems: &mut Problems<'_>) -> Option<String> {
    let text = &contact.value;
    if text.starts_with("mailto:") {
        return Some(text.clone());
    }
    if text.contains('@') && !text.contains([':', ' ']) {
        return Some(format!("mailto:{text}"));
    }
    problems.push(
        Problem::new(contact.span.clone(), "this is not an address of mail")
            .help("write `contact = \"ann@example.com\"`"),
    );
    None
}

fn eab(table: Option<&Located<EabTable>>, problems: &mut Problems<'_>) -> Option<Eab> {
    let table = table?;
    let (Some(id), Some(key)) = (&table.value.id, &table.value.key) else {
        if table.clean {
            problem(table, "`eab` needs an `id` and a `key`", problems);
        }
        return None;
    };
    match BASE64.decode(&key.value) {
        Ok(bytes) if !bytes.is_empty() => Some(Eab {
            id: id.value.clone(),
            key: bytes,
        }),
        _ => {
            let message = "this is not a key: authorities give it in base64url";
            problem(key, message, problems);
            None
        }
    }
}

/// The file of those who vouch for an authority, which is read when the office opens.
fn root(
    written: Option<&Located<String>>,
    folder: &Path,
    problems: &mut Problems<'_>,
) -> Option<PathBuf> {
    let written = written?;
    let file = folder.join(&written.value);
    if let Err(IssuersError::File(file, reason)) = load_issuers(&file) {
        let file = file.display();
        let message = format!("{file} cannot be used as the root of an authority: {reason}");
        problem(written, &message, problems);
    }
    Some(file)
}

fn problem<T>(at: &Located<T>, message: &str, problems: &mut Problems<'_>) {
    problems.push(Problem::new(at.span.clone(), message));
}

/// As RFC 4648 §5, with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
