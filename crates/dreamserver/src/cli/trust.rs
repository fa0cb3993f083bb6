//! `dreamserver trust` and `dreamserver untrust`: a CA for development, and the stores that know it.

use super::args::{TrustArguments, UntrustArguments};
use super::{USAGE, fail, print, status_of_trust};
use crate::authority::stores::{Rights, Store, StoreError};
use crate::authority::{AuthorityError, Certificate, Kind, Name, Places, own};
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

/// Makes CAs that are missing, and puts them into the stores. 1 if one of them is in no store afterwards.
pub(super) fn trust(folder: Option<&Path>, arguments: &TrustArguments) -> ExitCode {
    let places = Places::of_environment(folder);
    if arguments.status {
        return status_of_trust::show(&places, arguments.json);
    }
    let kinds = match kinds(&arguments.name) {
        Ok(kinds) if kinds.is_empty() => vec![Kind::Own],
        Ok(kinds) => kinds,
        Err(code) => return code,
    };
    if let Err(code) = refuse_sudo(folder) {
        return code;
    }
    match own::certificate(&places, &Kind::Mkcert) {
        Ok(Some(certificate)) if own::is_whole(&places, &Kind::Mkcert) => {
            leave_to_mkcert(&places, &certificate)
        }
        _ => finish(each(&places, &kinds, |desk, kind| {
            desk.install(kind, &arguments.store)
        })),
    }
}

/// Takes CAs of ours out of all stores. 1 if one is left.
pub(super) fn untrust(folder: Option<&Path>, arguments: &UntrustArguments) -> ExitCode {
    let places = Places::of_environment(folder);
    let kinds = match kinds(&arguments.name) {
        Ok(kinds) if kinds.is_empty() => own::kinds(&places)
            .into_iter()
            .filter(|kind| *kind != Kind::Mkcert)
            .collect(),
        Ok(kinds) => kinds,
        Err(code) => return code,
    };
    if let Err(code) = refuse_sudo(folder) {
        return code;
    }
    if kinds.is_empty() {
        return print(b"there is no CA of `dreamserver trust`: nothing is left to do\n");
    }
    finish(each(&places, &kinds, |desk, kind| {
        desk.uninstall(kind, arguments.delete)
    }))
}

fn kinds(names: &[String]) -> Result<Vec<Kind>, ExitCode> {
    let kinds = names.iter().map(|name| own::for_name(name));
    kinds.collect::<Result<_, _>>().map_err(|error| {
        let _ = fail(&error.to_string());
        ExitCode::from(USAGE)
    })
}

/// Root has browsers of its own, and files of root in a home are in its user's way.
fn refuse_sudo(folder: Option<&Path>) -> Result<(), ExitCode> {
    match Places::is_of_another_user(folder) {
        false => Ok(()),
        true => {
            let _ = fail(
                "run this without sudo: it is your browsers that are to trust the CA, and where it needs root it asks",
            );
            Err(ExitCode::from(USAGE))
        }
    }
}

/// mkcert knows its own stores.
fn leave_to_mkcert(places: &Places, certificate: &Certificate) -> ExitCode {
    let stores = Store::find(places);
    let holders: Vec<String> = stores
        .iter()
        .filter(|store| store.holds(certificate).unwrap_or(false))
        .map(Store::to_string)
        .collect();
    let signs = format!("mkcert's CA signs here ({})", certificate.path().display());
    match holders.is_empty() {
        false => {
            print(format!("{signs}, and it is trusted by {}\n", holders.join(", ")).as_bytes())
        }
        true => fail(&format!(
            "{signs}, but nothing trusts it yet: `mkcert -install` changes that; or remove that CA, to have one of DreamServer's own"
        )),
    }
}

/// Did all succeed?
type Done = bool;

fn each(
    places: &Places,
    kinds: &[Kind],
    act: impl Fn(&mut Desk, &Kind) -> Result<Done, AuthorityError>,
) -> Result<(String, Done), AuthorityError> {
    let _lock = own::lock(places.own_folder()?)?;
    let mut desk = Desk {
        places,
        stores: Store::find(places),
        rights: Rights::of_process(),
        report: String::new(),
    };
    let mut all = true;
    for kind in kinds {
        all &= act(&mut desk, kind)?;
    }
    Ok((desk.report, all))
}

fn finish(result: Result<(String, Done), AuthorityError>) -> ExitCode {
    match result {
        Ok((report, true)) => print(report.as_bytes()),
        Ok((report, false)) => {
            let _ = print(report.as_bytes());
            ExitCode::FAILURE
        }
        Err(error) => fail(&error.to_string()),
    }
}

/// One run of a command: what it works with, and what there is to tell.
struct Desk<'a> {
    places: &'a Places,
    stores: Vec<Store>,
    rights: Rights,
    report: String,
}

impl Desk<'_> {
    /// Makes one CA, if it is missing, and puts it into every store, or into those of some kinds.
    fn install(&mut self, kind: &Kind, wanted: &[String]) -> Result<Done, AuthorityError> {
        let ensured = own::ensure(self.places, kind, SystemTime::now())?;
        if let Some(old) = &ensured.replaced {
            self.say(&format!(
                "the CA before it was of no use any more ({})",
                old.subject()
            ));
            for store in self.stores.clone() {
                self.take_out(&store, old);
            }
        }
        let certificate = ensured.certificate;
        self.say(&title(&certificate));
        let is_wanted =
            |store: &&Store| wanted.is_empty() || wanted.iter().any(|kind| kind == store.kind());
        for store in self.stores.clone().iter().filter(is_wanted) {
            self.put_in(store, &certificate);
        }
        let before = own::stores(self.places, kind);
        let holds = |store: &Store| {
            store
                .holds(&certificate)
                .unwrap_or(before.contains(&name(store)))
        };
        let holders = self.stores_with(&before).into_iter().filter(holds);
        let remembered: Vec<String> = holders.map(|store| name(&store)).collect();
        own::remember(self.places, kind, &remembered)?;
        match remembered.is_empty() {
            false => self.say("browsers that are open see it when they are started again; `dreamserver untrust` undoes all of it"),
            true => self.say("nothing trusts the CA, so it signs nothing"),
        }
        Ok(!remembered.is_empty())
    }

    /// Takes one CA out of every store.
    fn uninstall(&mut self, kind: &Kind, delete: bool) -> Result<Done, AuthorityError> {
        let Some(certificate) = own::certificate(self.places, kind)? else {
            self.say(&format!("there is no {}", called(kind)));
            return Ok(true);
        };
        self.say(&title(&certificate));
        let remembered = own::stores(self.places, kind);
        let mut left = Vec::new();
        for store in self.stores_with(&remembered) {
            let name = name(&store);
            match store.holds(&certificate) {
                Ok(false) => continue,
                // Nothing speaks for that it is there.
                Err(_) if !remembered.contains(&name) => continue,
                _ if self.take_out(&store, &certificate) => continue,
                _ => left.push(name),
            }
        }
        own::remember(self.places, kind, &left)?;
        match (left.is_empty(), delete) {
            (false, _) => self.say("it is still trusted, where that is said above"),
            (true, false) => self.say(
                "nothing trusts it any more; its key is kept, for the next `dreamserver trust`",
            ),
            (true, true) => {
                own::remove(&certificate)?;
                self.say("nothing trusts it any more, and its key is deleted");
            }
        }
        Ok(left.is_empty())
    }

    /// Those that are there, and those that it was installed in when other ones were.
    fn stores_with(&self, remembered: &[String]) -> Vec<Store> {
        let mut stores = self.stores.clone();
        let known: Vec<String> = stores.iter().map(name).collect();
        let more = remembered.iter().filter(|path| !known.contains(path));
        stores.extend(more.filter_map(|path| Store::remembered(path)));
        stores
    }

    fn put_in(&mut self, store: &Store, certificate: &Certificate) {
        let result = match store.holds(certificate) {
            Ok(true) => Ok("trusted already by"),
            Ok(false) => self.add(store, certificate).map(|()| "trusted now by"),
            Err(error) => Err(error),
        };
        self.tell(store, result, "not trusted by");
    }

    fn add(&self, store: &Store, certificate: &Certificate) -> Result<(), StoreError> {
        store.add(certificate, self.rights)?;
        match store.holds(certificate)? {
            true => Ok(()),
            false => Err(StoreError::NotThere),
        }
    }

    fn take_out(&mut self, store: &Store, certificate: &Certificate) -> bool {
        let result = match store.holds(certificate) {
            Ok(false) => return true,
            Ok(true) => store.remove(certificate, self.rights),
            Err(error) => Err(error),
        };
        self.tell(
            store,
            result.map(|()| "no longer trusted by"),
            "still trusted by",
        )
    }

    fn tell(&mut self, store: &Store, result: Result<&str, StoreError>, failed: &str) -> bool {
        match &result {
            Ok(done) => self.say(&format!("  {done} {store}")),
            Err(error) => self.say(&format!("  {failed} {store}: {error}")),
        }
        result.is_ok()
    }

    fn say(&mut self, line: &str) {
        self.report.push_str(line);
        self.report.push('\n');
    }
}

/// What a store is remembered by.
fn name(store: &Store) -> String {
    store.path().to_string_lossy().into_owned()
}

/// Which CA it is, and for what.
pub(super) fn title(certificate: &Certificate) -> String {
    let called = called(certificate.kind());
    let what = match certificate.kind() {
        Kind::Mkcert | Kind::Own => format!("for {}", certificate.constraints()),
        Kind::Named(Name::Dns(_)) => "and all names below it".into(),
        Kind::Named(Name::Address(_)) => "and nothing else".into(),
    };
    format!("{called}, {what} ({})", certificate.path().display())
}

fn called(kind: &Kind) -> String {
    match kind {
        Kind::Mkcert => "mkcert's CA".into(),
        Kind::Own => "CA of this machine".into(),
        Kind::Named(name) => format!("CA for {name}"),
    }
}
