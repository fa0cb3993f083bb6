//! Where a running server says which process it is, so that `dreamserver reload` finds it.
//!
//! The file is named after the configuration file, so that several servers of one user do not get in each other's
//! way. A stale file does no harm: the process is looked at before it is signalled.

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The file of this process, removed when dropped.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
}

impl PidFile {
    /// Says at `path` that this process is the server, in place of who said so before.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(path: &Path) -> io::Result<PidFile> {
        if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
            fs::DirBuilder::new()
                .mode(0o700)
                .recursive(true)
                .create(folder)?;
        }
        let mut name = OsString::from(path);
        name.push(format!(".{}", std::process::id()));
        let fresh = PathBuf::from(name);
        let _ = fs::remove_file(&fresh);
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&fresh)?;
        writeln!(file, "{}", std::process::id())?;
        fs::rename(&fresh, path)?;
        Ok(PidFile {
            path: path.to_owned(),
        })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if read(&self.path).is_some_and(|pid| pid.as_raw_pid() as u32 == std::process::id()) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Why no server was signalled.
#[derive(Debug)]
pub enum NotSignalled {
    /// There is no file, or the process it names is gone or another program.
    NotRunning,
    /// The file belongs to someone else, who could name any process of ours in it.
    NotOurs,
    /// The system says no.
    Refused(io::Error),
}

impl fmt::Display for NotSignalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotSignalled::NotRunning => f.write_str("no server is running"),
            NotSignalled::NotOurs => f.write_str("the pid file belongs to another user"),
            NotSignalled::Refused(error) => write!(f, "the server cannot be signalled: {error}"),
        }
    }
}

impl std::error::Error for NotSignalled {}

/// Tells the server that wrote `path` to read its configuration again; gives its process number.
///
/// # Errors
/// [`NotSignalled`] says why nobody was told.
pub fn reload(path: &Path) -> Result<i32, NotSignalled> {
    let user = rustix::process::geteuid().as_raw();
    let owner = fs::metadata(path)
        .map_err(|_| NotSignalled::NotRunning)?
        .uid();
    if owner != user && owner != 0 && user != 0 {
        return Err(NotSignalled::NotOurs);
    }
    let pid = read(path)
        .filter(|pid| is_server(*pid))
        .ok_or(NotSignalled::NotRunning)?;
    kill_process(pid, Signal::HUP).map_err(|error| NotSignalled::Refused(error.into()))?;
    Ok(pid.as_raw_pid())
}

/// Where a server with this configuration file says which process it is. Without a file, the folder it
/// was started in takes its place.
pub fn usual_path(config: Option<&Path>) -> PathBuf {
    let config = config.unwrap_or(Path::new("dreamserver.toml"));
    let whole = fs::canonicalize(config)
        .or_else(|_| std::path::absolute(config))
        .unwrap_or_else(|_| config.to_owned());
    let name = format!(
        "dreamserver-{:016x}.pid",
        fnv1a(whole.as_os_str().as_bytes())
    );
    runtime_folder().join(name)
}

fn runtime_folder() -> PathBuf {
    let user = rustix::process::geteuid().as_raw();
    if user == 0 && Path::new("/run").is_dir() {
        return "/run".into();
    }
    let session = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    session
        .filter(|folder| folder.is_dir())
        .unwrap_or_else(|| std::env::temp_dir().join(format!("dreamserver-{user}")))
}

fn read(path: &Path) -> Option<Pid> {
    let text = fs::read_to_string(path).ok()?;
    Pid::from_raw(text.trim().parse().ok().filter(|pid| *pid > 0)?)
}

/// Is the process alive, and this program? Where there is no /proc, being alive must do.
fn is_server(pid: Pid) -> bool {
    let program = fs::read_link(format!("/proc/{}/exe", pid.as_raw_pid()));
    match program {
        Ok(program) => program
            .file_name()
            .is_some_and(|name| name.as_bytes().starts_with(b"dreamserver")),
        Err(_) => !Path::new("/proc/self/exe").exists() && test_kill_process(pid).is_ok(),
    }
}

/// The hash FNV-1a: the same in every version of the program, which the library's hashers do not promise.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_names_this_process_until_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/server.pid");
        let file = PidFile::write(&path).unwrap();
        assert_eq!(
            read(&path).map(Pid::as_raw_pid),
            Some(std::process::id() as i32)
        );
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn strangers_and_the_dead_are_not_signalled() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.pid");
        assert!(matches!(reload(&path), Err(NotSignalled::NotRunning)));
        for text in ["1", "0", "-1", "x", "4194304999"] {
            fs::write(&path, text).unwrap();
            assert!(
                matches!(reload(&path), Err(NotSignalled::NotRunning)),
                "{text}"
            );
        }
    }
}
