//! `dreamserver trust --status`: which CAs there are, and who trusts them.

use super::trust::title;
use super::{fail, print};
use crate::authority::stores::Store;
use crate::authority::{AuthorityError, Certificate, Kind, LocalCa, Places, own};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

/// Shows all CAs and stores. 1 if none of the CAs signs.
pub(super) fn show(places: &Places, as_json: bool) -> ExitCode {
    let status = Status::look(places);
    let text = match as_json {
        true => format!("{}\n", status.json()),
        false => status.text(),
    };
    let printed = print(text.as_bytes());
    for error in &status.errors {
        let _ = fail(&error.to_string());
    }
    match status.signing.is_empty() {
        true => ExitCode::FAILURE,
        false => printed,
    }
}

struct Status {
    certificates: Vec<Certificate>,
    /// The files of the certificates of those that sign.
    signing: Vec<PathBuf>,
    stores: Vec<Store>,
    errors: Vec<AuthorityError>,
}

impl Status {
    fn look(places: &Places) -> Status {
        let mut errors = Vec::new();
        let mut certificates = Vec::new();
        for kind in own::kinds(places) {
            match own::certificate(places, &kind) {
                Ok(certificate) => certificates.extend(certificate),
                Err(error) => errors.push(error),
            }
        }
        let signing = match LocalCa::find(places) {
            Ok(Some(ca)) => {
                let valid =
                    |certificate: &&Certificate| certificate.not_after() > SystemTime::now();
                let paths = ca
                    .certificates()
                    .filter(valid)
                    .map(|found| found.path().to_owned());
                paths.collect()
            }
            Ok(None) => Vec::new(),
            // Those that cannot be read were found above too.
            Err(AuthorityError::Unusable(..)) if !errors.is_empty() => Vec::new(),
            Err(error) => {
                errors.push(error);
                Vec::new()
            }
        };
        Status {
            certificates,
            signing,
            stores: Store::find(places),
            errors,
        }
    }

    fn signs(&self, certificate: &Certificate) -> bool {
        self.signing.iter().any(|path| path == certificate.path())
    }

    fn text(&self) -> String {
        if self.certificates.is_empty() {
            return "there is no CA: `dreamserver trust` makes one and has your browsers trust it\n".into();
        }
        self.certificates
            .iter()
            .map(|certificate| self.paragraph(certificate))
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn paragraph(&self, certificate: &Certificate) -> String {
        let (from, to) = (
            date(certificate.not_before()),
            date(certificate.not_after()),
        );
        let signs = match self.signs(certificate) {
            true => "yes",
            false => "no",
        };
        let mut text = format!(
            "{}\n  fingerprint  {}\n  valid        {from} to {to}\n  signs        {signs}\n",
            title(certificate),
            certificate.fingerprint()
        );
        for store in &self.stores {
            text.push_str(&match store.holds(certificate) {
                Ok(true) => format!("  trusted      by {store}\n"),
                Ok(false) => format!("  not trusted  by {store}\n"),
                Err(error) => format!("  unknown      to {store}: {error}\n"),
            });
        }
        text
    }

    fn json(&self) -> Value {
        let authorities = self
            .certificates
            .iter()
            .map(|certificate| self.authority(certificate));
        let errors = self.errors.iter().map(AuthorityError::to_string);
        json!({
            "authorities": authorities.collect::<Vec<_>>(),
            "errors": errors.collect::<Vec<_>>(),
        })
    }

    fn authority(&self, certificate: &Certificate) -> Value {
        let stores = self.stores.iter().map(|store| {
            json!({
                "kind": store.kind(),
                "path": store.path().to_string_lossy(),
                "trusts": store.holds(certificate).ok(),
            })
        });
        let permitted = &certificate.constraints().permitted;
        json!({
            "kind": match certificate.kind() {
                Kind::Mkcert => "mkcert",
                Kind::Own => "own",
                Kind::Named(_) => "name",
            },
            "path": certificate.path().to_string_lossy(),
            "fingerprint": certificate.fingerprint().to_string(),
            "permitted": permitted.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "not_before": milliseconds(certificate.not_before()),
            "not_after": milliseconds(certificate.not_after()),
            "signs": self.signs(certificate),
            "stores": stores.collect::<Vec<_>>(),
        })
    }
}

/// Since 1970, as everywhere in what programs read.
fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The day, in UTC.
fn date(time: SystemTime) -> String {
    let whole = jiff::Timestamp::try_from(time);
    whole.map_or_else(|_| "?".into(), |time| time.strftime("%Y-%m-%d").to_string())
}
