//! Why a file is not changed, and what the client is told.

use dream_http::Name;
use rustix::io::Errno;
use std::io;

use crate::error;
use crate::exchange::put;
use crate::exchange::{BodyError, Request, Response};

/// Why a file is not changed.
#[derive(Debug)]
pub(super) enum Refusal {
    /// With this status, for this reason.
    Answer(u16, &'static str),
    /// What comes is not the file itself, but a coding of it.
    Encoded,
    /// The files would be larger together than they may be.
    Full,
    /// The body did not come whole.
    Body(BodyError),
    /// The system failed.
    Failed(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Refusal {
        Refusal::Failed(error)
    }
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Refusal {
        Refusal::Failed(errno.into())
    }
}

impl Refusal {
    pub(super) fn answer(&self, request: &Request) -> Response {
        match self {
            Refusal::Answer(status, detail) => error::page(*status, request, detail),
            Refusal::Encoded => {
                let detail = "A file is stored as it comes: send it without Content-Encoding.";
                let mut response = error::page(415, request, detail);
                // RFC 9110 §12.5.3
                put(&mut response.head.fields, Name::AcceptEncoding, b"identity");
                response
            }
            Refusal::Full => {
                let mut response =
                    error::page(507, request, "There is no room for more files here.");
                tracing::warn!("an upload was refused: `max_total` is reached");
                response.reason = Some("max_total of the uploads is reached".into());
                response
            }
            Refusal::Body(error) => error::body(error, request),
            Refusal::Failed(error) => failed(error, request),
        }
    }
}

fn failed(error: &io::Error, request: &Request) -> Response {
    let (status, detail) = match Errno::from_io_error(error) {
        Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => (507, "The disk has no room for it."),
        // The folder, or a symlink on the way to it that leads out or in circles: whoever asks learns nothing of what it leads to.
        Some(Errno::NOENT | Errno::NOTDIR | Errno::XDEV | Errno::LOOP) => {
            (409, "There is no such folder: make it first.")
        }
        Some(Errno::ISDIR | Errno::EXIST | Errno::NOTEMPTY) => (409, "This is no file."),
        Some(Errno::ACCESS | Errno::PERM | Errno::ROFS) => {
            (403, "The server may not change files here.")
        }
        Some(Errno::NAMETOOLONG | Errno::INVAL | Errno::ILSEQ) => {
            (400, "No file can have this name.")
        }
        _ => (500, "The file could not be changed."),
    };
    if matches!(status, 403 | 500 | 507) {
        tracing::warn!(%error, "a file could not be changed");
    }
    let mut response = error::page(status, request, detail);
    if status >= 500 {
        response.reason = Some(error.to_string().into());
    }
    response
}
