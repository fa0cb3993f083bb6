//! Where CAs are kept.

use super::{AuthorityError, Name};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Where to look for CAs, and whose browsers are to trust them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The folder of our own CAs.
    pub own: Option<PathBuf>,
    /// The folder of mkcert's CA.
    pub mkcert: Option<PathBuf>,
    /// The user's home.
    pub home: Option<PathBuf>,
}

/// Which CA it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// mkcert's.
    Mkcert,
    /// Our own, for names of this machine.
    Own,
    /// Our own, for one name.
    Named(Name),
}

impl Places {
    /// As the environment has it. Our own CAs are in the given folder, or where the user keeps such things (`XDG_DATA_HOME`, else
    /// `~/.local/share`); mkcert's is in `CAROOT`, or where mkcert itself would look. Variables that are empty, and those of XDG that are no
    /// absolute path, count as missing. If root runs this by `sudo`, the places are those of the user who asked for it.
    pub fn of_environment(own: Option<&Path>) -> Places {
        let is_root = rustix::process::geteuid().is_root();
        let asked = (is_root && own.is_none()).then(home_behind_sudo).flatten();
        let mut places = Places::of(
            |name| std::env::var_os(name),
            asked,
            cfg!(target_os = "macos"),
        );
        if let Some(own) = own {
            places.own = std::path::absolute(own).ok();
        }
        places
    }

    /// Does root look at what is another user's, who runs this by `sudo`?
    pub fn is_of_another_user(own: Option<&Path>) -> bool {
        let is_root = rustix::process::geteuid().is_root();
        is_root && own.is_none() && home_behind_sudo().is_some()
    }

    fn of(
        variable: impl Fn(&str) -> Option<OsString>,
        home: Option<PathBuf>,
        is_mac: bool,
    ) -> Places {
        let absolute = |path: &PathBuf| path.is_absolute();
        let path = |name| variable(name).map(PathBuf::from).filter(absolute);
        // What XDG_DATA_HOME says is of the same user as HOME.
        let data = match home {
            None => path("XDG_DATA_HOME"),
            Some(_) => None,
        };
        let home = home.or_else(|| path("HOME"));
        let in_home = |folder| home.as_ref().map(|home| home.join(folder));
        // mkcert takes a relative one too.
        let caroot = variable("CAROOT").filter(|path| !path.is_empty());
        let caroot = caroot.and_then(|path| std::path::absolute(path).ok());
        let own = data.clone().or_else(|| in_home(".local/share"));
        let mkcert = data.or_else(|| match is_mac {
            true => in_home("Library/Application Support"),
            false => in_home(".local/share"),
        });
        Places {
            own: own.map(|data| data.join("dreamserver/authority")),
            mkcert: caroot.or_else(|| mkcert.map(|data| data.join("mkcert"))),
            home,
        }
    }

    /// The certificate of a CA; none if nobody says where.
    pub(super) fn certificate(&self, kind: &Kind) -> Option<PathBuf> {
        match kind {
            Kind::Mkcert => Some(self.mkcert.as_ref()?.join("rootCA.pem")),
            _ => Some(self.own.as_ref()?.join(format!("{}.pem", stem(kind)))),
        }
    }

    /// The folder of our own CAs.
    ///
    /// # Errors
    /// Nobody says where.
    pub fn own_folder(&self) -> Result<&Path, AuthorityError> {
        self.own.as_deref().ok_or(AuthorityError::NoFolder)
    }

    /// The CAs of ours for single names, in the order of their names.
    pub(super) fn named(&self) -> Vec<Kind> {
        let files = self
            .own
            .iter()
            .filter_map(|folder| fs::read_dir(folder).ok());
        let files = files.flatten().flatten();
        let mut names: Vec<String> = files
            .filter_map(|file| {
                let file = file.file_name().into_string().ok()?;
                let name = file.strip_prefix(NAMED)?.strip_suffix(".pem")?;
                Some(name.to_owned())
            })
            .collect();
        names.sort_unstable();
        let name = |name: &String| Name::parse(name).ok();
        names.iter().filter_map(name).map(Kind::Named).collect()
    }
}

/// What the files of a CA of ours are called, without their endings.
pub(super) fn stem(kind: &Kind) -> String {
    match kind {
        Kind::Mkcert => "rootCA".into(),
        Kind::Own => "ca".into(),
        Kind::Named(name) => format!("{NAMED}{name}"),
    }
}

/// The home of the user who runs this by `sudo`.
fn home_behind_sudo() -> Option<PathBuf> {
    let user = std::env::var("SUDO_UID").ok().filter(|user| user != "0")?;
    let users = fs::read_to_string("/etc/passwd").ok()?;
    home_of(&user, &users)
}

/// The home of a user, by number, as passwd(5) has it.
fn home_of(user: &str, users: &str) -> Option<PathBuf> {
    let mut users = users
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>());
    let found = users.find(|fields| fields.get(2) == Some(&user))?;
    Some(PathBuf::from(found.get(5)?)).filter(|home| home.is_absolute())
}

/// How the files of a CA for one name begin.
const NAMED: &str = "ca-for-";

#[cfg(test)]
mod tests {
    use super::*;

    fn places(variables: &[(&str, &str)], home: Option<&str>, is_mac: bool) -> Places {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.into())
        };
        Places::of(variable, home.map(PathBuf::from), is_mac)
    }

    fn expect(places: Places, own: &str, mkcert: &str) {
        assert_eq!(places.own, Some(own.into()));
        assert_eq!(places.mkcert, Some(mkcert.into()));
    }

    #[test]
    fn they_are_found_where_mkcert_finds_its_own() {
        let home = ("HOME", "/home/ann");
        let own = "/home/ann/.local/share/dreamserver/authority";
        expect(
            places(&[home], None, false),
            own,
            "/home/ann/.local/share/mkcert",
        );
        let mac = "/home/ann/Library/Application Support/mkcert";
        expect(places(&[home], None, true), own, mac);
        expect(
            places(&[home, ("XDG_DATA_HOME", "/data")], None, true),
            "/data/dreamserver/authority",
            "/data/mkcert",
        );
        expect(places(&[home, ("CAROOT", "/ca")], None, false), own, "/ca");
        expect(
            places(&[home, ("CAROOT", "")], None, false),
            own,
            "/home/ann/.local/share/mkcert",
        );
        assert_eq!(places(&[], None, false), Places::default());
    }

    #[test]
    fn by_sudo_they_are_those_of_who_asked() {
        let users = "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000:Ann,,,:/home/ann:/bin/sh\n";
        assert_eq!(home_of("1000", users), Some("/home/ann".into()));
        assert_eq!(home_of("1001", users), None);
        let root = [("HOME", "/root"), ("XDG_DATA_HOME", "/root/data")];
        expect(
            places(&root, Some("/home/ann"), false),
            "/home/ann/.local/share/dreamserver/authority",
            "/home/ann/.local/share/mkcert",
        );
    }
}
