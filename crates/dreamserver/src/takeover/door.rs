//! The unix socket at which a running server can be asked to hand over.

use super::Asking;
use super::channel::Channel;
use rustix::process::{Pid, geteuid};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream as TokioStream};
use tokio::time::sleep;

/// Its name in the folder of the state.
const NAME: &str = "take-over.sock";
/// So many may wait to ask.
const BACKLOG: i32 = 8;
/// After the system refused a connection, for want of descriptors perhaps.
const PAUSE: Duration = Duration::from_millis(250);

/// The giver's end.
#[derive(Debug)]
pub struct Door {
    listener: UnixListener,
}

impl Door {
    /// Opens it in the folder of the state, in place of the one of a server before. Whoever does this has the folder's lock.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(folder: &Path) -> io::Result<Door> {
        let fresh = folder.join(format!("{NAME}.{}", std::process::id()));
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        let short = Short::of(&fresh)?;
        socket.bind(&SockAddr::unix(&short.path)?)?;
        socket.listen(BACKLOG)?;
        // The one before stays reachable until this one is.
        fs::rename(&fresh, folder.join(NAME))?;
        let listener = UnixListener::from_std(socket.into())?;
        Ok(Door { listener })
    }

    /// The next process of our own user, or of root, that asks.
    pub async fn next(&self) -> Asking {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => match asking(stream) {
                    Ok(asking) => return asking,
                    Err(error) => tracing::warn!(%error, "somebody asked to take over, in vain"),
                },
                Err(error) => {
                    tracing::warn!(%error, "nobody can ask to take over for now");
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

fn asking(stream: TokioStream) -> io::Result<Asking> {
    let peer = stream.peer_cred()?;
    if peer.uid() != geteuid().as_raw() && peer.uid() != 0 {
        let user = peer.uid();
        return Err(io::Error::other(format!("it is of another user, {user}")));
    }
    let channel = Channel::new(stream.into_std()?)?;
    Ok(Asking::new(channel, peer.pid().and_then(Pid::from_raw)))
}

/// Connects to the door in the folder; nothing if there is none, or nobody behind it.
pub(super) fn knock(folder: &Path) -> io::Result<Option<UnixStream>> {
    let connected =
        Short::of(&folder.join(NAME)).and_then(|short| UnixStream::connect(&short.path));
    match connected {
        Ok(stream) => Ok(Some(stream)),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
            _ => Err(error),
        },
    }
}

/// A path that fits into the address of a socket.
struct Short {
    path: PathBuf,
    /// What the path leads through must stay open.
    _folder: Option<File>,
}

/// As many bytes as a path may have there, with the zero that ends it (unix(7); macOS has four less).
const LONGEST: usize = 104;

impl Short {
    fn of(path: &Path) -> io::Result<Short> {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        if path.as_os_str().as_bytes().len() < LONGEST || !cfg!(target_os = "linux") {
            return Ok(Short {
                path: path.to_owned(),
                _folder: None,
            });
        }
        let folder = File::open(folder)?;
        let through = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
        Ok(Short {
            path: through.join(name),
            _folder: Some(folder),
        })
    }
}
