//! Reading a small file whole, from the kernel's memory if it is there, else beside the core.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::root::blocking;

/// Reads the first `size` bytes of `file`, fewer if it has become shorter.
///
/// # Errors
/// What the disk says.
pub(super) async fn read(file: File, size: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; size];
    let have = read_cached(&file, &mut bytes);
    if have == size {
        return Ok(bytes);
    }
    blocking(move || {
        let got = read_waiting(&file, &mut bytes, have)?;
        bytes.truncate(got);
        Ok(bytes)
    })
    .await
}

/// Reads what needs no disk; tells how much that was. An error is for [`read_waiting`] to meet again.
#[cfg(target_os = "linux")]
fn read_cached(file: &File, bytes: &mut [u8]) -> usize {
    use rustix::io::{ReadWriteFlags, preadv2};
    let mut have = 0;
    while have < bytes.len() {
        let mut rest = [io::IoSliceMut::new(&mut bytes[have..])];
        match preadv2(file, &mut rest, have as u64, ReadWriteFlags::NOWAIT) {
            Ok(0) | Err(_) => break,
            Ok(count) => have += count,
        }
    }
    have
}

/// Other systems cannot be asked for this.
#[cfg(not(target_os = "linux"))]
fn read_cached(_file: &File, _bytes: &mut [u8]) -> usize {
    0
}

/// Reads on from `have`; tells how much is there in the end.
fn read_waiting(file: &File, bytes: &mut [u8], mut have: usize) -> io::Result<usize> {
    while have < bytes.len() {
        match file.read_at(&mut bytes[have..], have as u64) {
            Ok(0) => break,
            Ok(count) => have += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(have)
}
