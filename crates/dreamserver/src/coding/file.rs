//! A part of a file as a source of pieces: read from the kernel's memory if it is there, else beside the core.

use crate::exchange::{FileBody, FileBroke, Source};
use bytes::Bytes;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::task::JoinHandle;

/// Bytes of a piece.
const PIECE: u64 = 64 * 1024;

/// What is still to be read.
pub(super) struct FileSource {
    part: FileBody,
    reading: Option<JoinHandle<io::Result<Vec<u8>>>>,
}

impl FileSource {
    pub(super) fn new(part: FileBody) -> FileSource {
        let reading = None;
        FileSource { part, reading }
    }

    fn took(&mut self, piece: Vec<u8>) -> Poll<Option<io::Result<Bytes>>> {
        if piece.is_empty() {
            return Poll::Ready(Some(Err(io::Error::other(FileBroke::Shorter))));
        }
        // What was read belongs to the file that was announced, or the answer breaks off.
        self.part.shared.check().map_err(io::Error::other)?;
        self.part.offset += piece.len() as u64;
        self.part.len -= piece.len() as u64;
        Poll::Ready(Some(Ok(piece.into())))
    }
}

impl Source for FileSource {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.part.len == 0 {
            return Poll::Ready(None);
        }
        if self.reading.is_none() {
            let piece = vec![0; self.part.len.min(PIECE) as usize];
            let file = &self.part.shared.file;
            match read_cached(file, piece, self.part.offset) {
                Ok(piece) => return self.took(piece),
                Err(piece) => {
                    let (file, offset) = (file.try_clone()?, self.part.offset);
                    let read = move || read_waiting(&file, piece, offset);
                    self.reading = Some(tokio::task::spawn_blocking(read));
                }
            }
        }
        let Some(reading) = &mut self.reading else {
            return Poll::Ready(None);
        };
        let read = ready!(Pin::new(reading).poll(cx));
        self.reading = None;
        match read.map_err(io::Error::other).flatten() {
            Ok(piece) => self.took(piece),
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }

    fn remaining(&self) -> Option<u64> {
        Some(self.part.len)
    }
}

/// Reads what needs no disk; gives the room back if nothing is there.
#[cfg(target_os = "linux")]
fn read_cached(file: &File, mut piece: Vec<u8>, offset: u64) -> Result<Vec<u8>, Vec<u8>> {
    use rustix::io::{ReadWriteFlags, preadv2};
    let mut room = [io::IoSliceMut::new(&mut piece)];
    match preadv2(file, &mut room, offset, ReadWriteFlags::NOWAIT) {
        Ok(count) => {
            piece.truncate(count);
            Ok(piece)
        }
        Err(_) => Err(piece),
    }
}

/// Other systems cannot be asked for this.
#[cfg(not(target_os = "linux"))]
fn read_cached(_: &File, piece: Vec<u8>, _: u64) -> Result<Vec<u8>, Vec<u8>> {
    Err(piece)
}

fn read_waiting(file: &File, mut piece: Vec<u8>, offset: u64) -> io::Result<Vec<u8>> {
    loop {
        match file.read_at(&mut piece, offset) {
            Ok(count) => {
                piece.truncate(count);
                return Ok(piece);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
