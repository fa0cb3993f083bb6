//! The databases of Firefox and Chromium on Linux: NSS, which its program `certutil` speaks to.

use super::StoreError;
use super::run::{Step, find_program, holds_pem};
use crate::authority::Certificate;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Output;

/// One database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nss {
    folder: PathBuf,
    browser: &'static str,
}

/// Databases below the home that Chromium and its relatives read, the usual one first.
const CHROMIUM: [&str; 3] = [
    ".pki/nssdb",
    ".local/share/pki/nssdb",
    "snap/chromium/current/.pki/nssdb",
];

/// Folders below the home where Firefox has its profiles, each with a database.
const FIREFOX: [&str; 5] = [
    ".mozilla/firefox",
    ".config/mozilla/firefox",
    "snap/firefox/common/.mozilla/firefox",
    ".var/app/org.mozilla.firefox/.mozilla/firefox",
    "Library/Application Support/Firefox/Profiles",
];

/// Programs that look into the first of Chromium's databases, which they make when they are first started.
const CHROMIUMS: [&str; 7] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "brave-browser",
    "microsoft-edge",
    "vivaldi",
];

impl Nss {
    pub(super) fn find(home: &Path) -> Vec<Nss> {
        let chromium = CHROMIUM.iter().map(|folder| home.join(folder));
        let mut found: Vec<Nss> = chromium
            .filter(|folder| is_database(folder))
            .map(Nss::of_chromium)
            .collect();
        let is_here =
            cfg!(target_os = "linux") && CHROMIUMS.iter().any(|name| find_program(name).is_some());
        if found.is_empty() && is_here {
            found.push(Nss::of_chromium(home.join(CHROMIUM[0])));
        }
        for profiles in FIREFOX {
            let entries = fs::read_dir(home.join(profiles))
                .into_iter()
                .flatten()
                .flatten();
            let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
            folders.sort_unstable();
            let profiles = folders.into_iter().filter(|folder| is_database(folder));
            found.extend(profiles.map(|folder| Nss {
                folder,
                browser: "Firefox",
            }));
        }
        found
    }

    pub(super) fn at(folder: &Path) -> Option<Nss> {
        is_database(folder).then(|| Nss {
            folder: folder.to_owned(),
            browser: "a browser",
        })
    }

    fn of_chromium(folder: PathBuf) -> Nss {
        Nss {
            folder,
            browser: "Chromium",
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.folder
    }

    pub(super) fn browser(&self) -> &'static str {
        self.browser
    }

    pub(super) fn holds(&self, certificate: &Certificate) -> Result<bool, StoreError> {
        if !is_database(&self.folder) {
            return Ok(false);
        }
        let name = certificate.nickname();
        let list = Step::new(
            "certutil",
            &[&"-L", &"-d", &self.argument(), &"-n", &name, &"-a"],
        );
        let output = output(&list)?;
        if !output.status.success() && String::from_utf8_lossy(&output.stderr).contains(NOT_THERE) {
            return Ok(false);
        }
        Ok(holds_pem(&list.check(output)?.stdout, certificate.der()))
    }

    /// Trusted as a CA of servers, and of nothing else.
    pub(super) fn add(&self, certificate: &Certificate) -> Result<(), StoreError> {
        self.create()?;
        let (name, path) = (certificate.nickname(), certificate.path());
        let add = Step::new(
            "certutil",
            &[
                &"-A",
                &"-d",
                &self.argument(),
                &"-t",
                &"C,,",
                &"-n",
                &name,
                &"-i",
                &path,
            ],
        );
        add.check(output(&add)?).map(drop)
    }

    pub(super) fn remove(&self, certificate: &Certificate) -> Result<(), StoreError> {
        let name = certificate.nickname();
        let delete = Step::new("certutil", &[&"-D", &"-d", &self.argument(), &"-n", &name]);
        delete.check(output(&delete)?).map(drop)
    }

    /// As the browser would at its first start.
    fn create(&self) -> Result<(), StoreError> {
        if is_database(&self.folder) {
            return Ok(());
        }
        DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(&self.folder)
            .map_err(|error| StoreError::System(self.folder.clone(), error))?;
        let create = Step::new(
            "certutil",
            &[&"-N", &"-d", &self.argument(), &"--empty-password"],
        );
        create.check(output(&create)?).map(drop)
    }

    fn argument(&self) -> OsString {
        let mut argument = OsString::from("sql:");
        argument.push(&self.folder);
        argument
    }
}

fn is_database(folder: &Path) -> bool {
    folder.join("cert9.db").is_file()
}

fn output(step: &Step) -> Result<Output, StoreError> {
    step.try_output().unwrap_or(Err(StoreError::NoTool {
        tool: "certutil",
        install: install(),
    }))
}

/// How to get `certutil` on this system.
fn install() -> &'static str {
    let installers = [
        ("apt-get", "sudo apt-get install libnss3-tools"),
        ("dnf", "sudo dnf install nss-tools"),
        ("pacman", "sudo pacman -S nss"),
        ("zypper", "sudo zypper install mozilla-nss-tools"),
    ];
    let mut known = installers
        .into_iter()
        .filter(|(program, _)| find_program(program).is_some());
    known
        .next()
        .map_or("brew install nss", |(_, command)| command)
}

/// What `certutil` says of a certificate that is not in the database.
const NOT_THERE: &str = "Could not find cert";
