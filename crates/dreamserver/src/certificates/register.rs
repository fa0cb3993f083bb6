//! All certificates of a server, wherever they come from, for whoever looks after them.

use super::local::{Leaves, RENEWED};
use crate::acme::{self, ImportError, Office, Refusal, Which};
use crate::authority::{CurrentCa, LocalCa};
use crate::credential::Credential;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

/// What is known of the certificates.
pub struct Register {
    maker: Maker,
    named: RwLock<Named>,
}

/// What makes certificates for names that have none in files.
enum Maker {
    /// A CA of this machine.
    Local {
        ca: Arc<CurrentCa>,
        leaves: Arc<Leaves>,
    },
    /// A public authority; nobody is there before the office opens.
    Public(Arc<OnceLock<Office>>),
}

/// What the configuration names.
#[derive(Default)]
pub struct Named {
    /// Certificates in files.
    pub files: Vec<Row>,
    /// Names whose certificates are made here.
    pub hosts: Vec<String>,
    /// Somebody may ask for them: there is a listener for TLS.
    pub is_secure: bool,
}

/// Where a certificate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A file that the configuration names.
    File,
    /// A CA of this machine.
    Local,
    /// A public authority, or it was imported.
    Public,
}

impl Kind {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::File => "file",
            Kind::Local => "local",
            Kind::Public => "public",
        }
    }
}

/// What is known of one certificate.
#[derive(Clone, Debug)]
pub struct Row {
    /// The name that it is for.
    pub name: String,
    /// Where it comes from.
    pub kind: Kind,
    /// Who issued it, if there is one.
    pub issuer: Option<String>,
    /// When it ends.
    pub not_after: Option<SystemTime>,
    /// When it is renewed, where that is done here.
    pub renewal: Option<SystemTime>,
    /// Another one is ordered at this moment.
    pub is_ordered: bool,
    /// The file, of one in a file.
    pub file: Option<PathBuf>,
    /// What failed last, if nothing went well since.
    pub trouble: Option<Trouble>,
}

/// What failed.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// What happened.
    pub error: String,
    /// The next step of whoever looks after the server.
    pub advice: Option<String>,
    /// How many attempts failed in a row, where they are counted.
    pub failures: Option<u32>,
    /// When it is tried again, where that is done here.
    pub next: Option<SystemTime>,
}

/// Some of the certificates.
#[derive(Debug, Default)]
pub struct Listed {
    /// How many there are, whatever was asked for.
    pub total: usize,
    /// Those, in the order of their names.
    pub rows: Vec<Row>,
    /// There may be more of them.
    pub is_part: bool,
}

/// Why nothing is ordered or imported.
#[derive(Debug)]
pub enum NoOffice {
    /// A CA of this machine makes the certificates.
    Development,
    /// It is not open yet, or could not be opened.
    Closed,
}

impl Register {
    /// Of certificates that a CA of this machine makes.
    pub fn local(ca: Arc<CurrentCa>, leaves: Arc<Leaves>) -> Register {
        Register::new(Maker::Local { ca, leaves })
    }

    /// Of certificates that public authorities give.
    pub fn public(office: Arc<OnceLock<Office>>) -> Register {
        Register::new(Maker::Public(office))
    }

    fn new(maker: Maker) -> Register {
        Register {
            maker,
            named: RwLock::default(),
        }
    }

    /// Goes by what the configuration names now.
    pub fn settle(&self, mut named: Named) {
        named.files.sort_by(|one, other| one.name.cmp(&other.name));
        *self.named.write().unwrap_or_else(PoisonError::into_inner) = named;
    }

    /// Some of the certificates, all of a name together. However many there are, that takes a moment, and files are read by the
    /// office only.
    pub async fn find(&self, wanted: &Which, most: usize) -> Listed {
        let mut listed = self.files(wanted);
        let made = match &self.maker {
            Maker::Local { leaves, .. } => leaves.find(wanted, most),
            Maker::Public(office) => match office.get() {
                Some(office) => of_office(office.find(wanted.clone(), most).await),
                None => Listed::default(),
            },
        };
        listed.total += made.total;
        // More may be behind the last that was made: files that come behind that one are for the next page.
        let end = made.rows.last().filter(|_| made.rows.len() >= most);
        if let Some(end) = end.map(|row| row.name.clone()) {
            listed.rows.retain(|row| row.name <= end);
            listed.is_part = true;
        }
        listed.rows.extend(made.rows);
        listed
            .rows
            .sort_by(|one, other| (&one.name, one.kind).cmp(&(&other.name, other.kind)));
        listed.is_part |= cut(&mut listed.rows, most);
        listed
    }

    fn files(&self, wanted: &Which) -> Listed {
        let named = self.named.read().unwrap_or_else(PoisonError::into_inner);
        let is_wanted = |row: &&Row| match wanted {
            Which::After(after) => row.name > *after,
            Which::Matching(part) => row.name.contains(part.as_str()),
            Which::Only(name) => row.name == *name,
        };
        Listed {
            total: named.files.len(),
            rows: named.files.iter().filter(is_wanted).cloned().collect(),
            is_part: false,
        }
    }

    /// Those that somebody should look at: what failed, and what ends soon though it is used.
    pub async fn pressing(&self, now: SystemTime, most: usize) -> Vec<Row> {
        let is_pressing =
            |row: &&Row| row.trouble.is_some() || row.not_after.is_some_and(|end| end < now + SOON);
        let mut rows: Vec<Row> = {
            let named = self.named.read().unwrap_or_else(PoisonError::into_inner);
            named
                .files
                .iter()
                .filter(is_pressing)
                .take(most)
                .cloned()
                .collect()
        };
        if let Maker::Public(office) = &self.maker
            && let Some(office) = office.get()
        {
            rows.extend(office.pressing(most).await.into_iter().map(row));
        }
        rows.truncate(most);
        rows
    }

    /// The CA of this machine, where one makes the certificates and is trusted.
    pub fn ca(&self) -> Option<Arc<LocalCa>> {
        let named = self.named.read().unwrap_or_else(PoisonError::into_inner);
        match &self.maker {
            _ if !named.is_secure => None,
            Maker::Local { ca, .. } => ca.get().ok().flatten(),
            Maker::Public(_) => None,
        }
    }

    /// Names of the configuration whose certificates are made here.
    pub fn hosts(&self) -> Vec<String> {
        let named = self.named.read().unwrap_or_else(PoisonError::into_inner);
        named.hosts.clone()
    }

    /// Orders a new certificate now; ends when it is there.
    ///
    /// # Errors
    /// Nobody orders any; or, within, why there is no new one.
    pub async fn renew(&self, name: &str) -> Result<Result<Credential, Refusal>, NoOffice> {
        Ok(self.office()?.renew(name).await)
    }

    /// Takes what was left for a name.
    ///
    /// # Errors
    /// Nobody uses any; or, within, why it is not taken.
    pub async fn import(&self, name: &str) -> Result<Result<Credential, ImportError>, NoOffice> {
        Ok(self.office()?.import(name).await)
    }

    fn office(&self) -> Result<&Office, NoOffice> {
        match &self.maker {
            Maker::Local { .. } => Err(NoOffice::Development),
            Maker::Public(office) => office.get().ok_or(NoOffice::Closed),
        }
    }
}

/// Leaves no more than so many, but all of the last name; tells whether there were more.
fn cut(rows: &mut Vec<Row>, most: usize) -> bool {
    let Some(last) = rows.get(most.saturating_sub(1)).map(|row| row.name.clone()) else {
        return false;
    };
    let before = rows.len();
    let end = rows.partition_point(|row| row.name <= last);
    rows.truncate(end);
    rows.len() < before
}

fn of_office(listed: acme::Listed) -> Listed {
    Listed {
        total: listed.total,
        rows: listed.rows.into_iter().map(row).collect(),
        is_part: false,
    }
}

fn row(row: acme::Row) -> Row {
    Row {
        name: row.name,
        kind: Kind::Public,
        issuer: row.issuer,
        not_after: row.not_after,
        renewal: row.renewal,
        is_ordered: row.is_ordered,
        file: None,
        trouble: row.trouble.map(|trouble| Trouble {
            error: trouble.error,
            advice: Some(trouble.advice),
            failures: Some(trouble.failures),
            next: Some(trouble.next),
        }),
    }
}

/// A leaf that a CA of this machine has made.
pub(super) fn leaf(name: &str, issuer: &str, not_after: SystemTime) -> Row {
    Row {
        name: name.to_owned(),
        kind: Kind::Local,
        issuer: Some(issuer.to_owned()),
        not_after: Some(not_after),
        renewal: not_after.checked_sub(RENEWED),
        is_ordered: false,
        file: None,
        trouble: None,
    }
}

/// So long before the end of a certificate whoever looks after the server hears of it.
pub const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(names: &[&str]) -> Vec<Row> {
        let row = |name: &&str| leaf(name, "ca", SystemTime::UNIX_EPOCH + RENEWED);
        names.iter().map(row).collect()
    }

    #[test]
    fn a_page_never_ends_within_a_name() {
        for (names, most, left, is_part) in [
            (&["a", "b", "b", "b", "c"][..], 2, 4, true),
            (&["a", "b"], 2, 2, false),
            (&["a"], 2, 1, false),
            (&[], 2, 0, false),
        ] {
            let mut rows = rows(names);
            assert_eq!(cut(&mut rows, most), is_part, "{names:?}");
            assert_eq!(rows.len(), left, "{names:?}");
        }
    }
}
