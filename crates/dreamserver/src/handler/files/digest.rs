//! Entity tags from what is in a file, for machines whose copies of it have different times.
//!
//! What is kept in memory is read anyway. A large file is read a second time for its tag, beside the cores and one after the
//! other, and what came out is remembered by the file's identity. Until then it is sent without a tag; only who asks by a tag waits.

use aws_lc_rs::digest;
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use tokio::sync::watch;

use super::identity::Identity;

/// What the entity tags of files are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TagOf {
    /// The time of the last change and the size, which cost nothing.
    #[default]
    Time,
    /// The content: the same on all machines, and of no other content.
    Content,
}

/// A tag that is there, or will be; nothing comes if the file could not be read.
type Pending = watch::Receiver<Option<Arc<str>>>;

/// The tags of large files.
#[derive(Clone, Debug, Default)]
pub(super) struct Digests(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    known: HashMap<Identity, Pending>,
    queue: VecDeque<Job>,
    is_working: bool,
}

/// A file that is to be read, and who waits for its tag.
#[derive(Debug)]
struct Job {
    identity: Identity,
    file: File,
    sender: watch::Sender<Option<Arc<str>>>,
}

/// The tags that are remembered at most, at some 200 bytes each.
const MOST: usize = 10_000;

/// Files that wait to be read at most: each holds a descriptor, and those are for connections.
const MOST_WAITING: usize = 64;

impl Digests {
    /// The tag of `file`, which was opened as `identity`, if it is known. If not, it will be.
    pub(super) fn find(&self, identity: &Identity, file: &File) -> Option<Arc<str>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = state.known.get(identity) {
            return known.borrow().clone();
        }
        if state.known.len() >= MOST {
            // Files that are still asked for come back; those that wait to be read stay.
            state.known.retain(|_, known| known.borrow().is_none());
        }
        // What has no place now is tried again when somebody asks the next time.
        let has_place = state.queue.len() < MOST_WAITING;
        let file = file.try_clone().ok().filter(|_| has_place)?;
        let (sender, pending) = watch::channel(None);
        state.known.insert(*identity, pending);
        state.queue.push_back(Job {
            identity: *identity,
            file,
            sender,
        });
        if !std::mem::replace(&mut state.is_working, true) {
            let digests = self.clone();
            // A thread of its own, since the end of the server waits for the runtime's.
            let thread = thread::Builder::new().name("tags".to_owned());
            let started = thread.spawn(move || digests.work());
            state.is_working = started.is_ok();
        }
        None
    }

    /// The tag, as soon as it is known; nothing if the file could not be read, or was written to meanwhile.
    pub(super) async fn wait(&self, identity: &Identity) -> Option<Arc<str>> {
        let pending = {
            let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            state.known.get(identity).cloned()
        };
        let mut pending = pending?;
        let tag = pending.wait_for(Option::is_some).await.ok()?;
        tag.clone()
    }

    /// Reads one file after the other until none is left.
    fn work(&self) {
        while let Some(job) = self.next() {
            match tag_of_file(&job.file, &job.identity) {
                // Whoever waited may be gone; it is remembered all the same.
                Ok(tag) => drop(job.sender.send_replace(Some(tag))),
                Err(error) => {
                    tracing::debug!(%error, "a file could not be read for its tag");
                    let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                    state.known.remove(&job.identity);
                }
            }
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = state.queue.pop_front();
        state.is_working = next.is_some();
        next
    }
}

/// The tag of these bytes: 128 bits of their SHA-256, so that nobody can make another content with the same.
pub(super) fn tag(bytes: &[u8]) -> String {
    written(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn tag_of_file(file: &File, identity: &Identity) -> io::Result<Arc<str>> {
    let mut context = digest::Context::new(&digest::SHA256);
    let mut block = vec![0; 256 * 1024];
    let mut at = 0;
    while at < identity.size {
        let most = block.len().min((identity.size - at) as usize);
        match file.read_at(&mut block[..most], at)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                context.update(&block[..count]);
                at += count as u64;
            }
        }
    }
    if Identity::of(&file.metadata()?).state() != identity.state() {
        return Err(io::Error::other("it was written to meanwhile"));
    }
    Ok(written(context.finish().as_ref()).into())
}

/// A strong entity tag (RFC 9110 §8.8.3).
fn written(digest: &[u8]) -> String {
    let mut tag = String::from("\"");
    for byte in &digest[..16] {
        tag.push_str(&format!("{byte:02x}"));
    }
    tag.push('"');
    tag
}

#[cfg(test)]
mod tests {
    use super::*;
    use dream_testkit::Folder;

    #[test]
    fn a_tag_is_that_of_the_content() {
        let folder = Folder::new("digest");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let digests = Digests::default();
        for text in ["one", "another", ""] {
            let file = File::open(folder.write(&format!("{text}.txt"), text)).unwrap();
            let identity = Identity::of(&file.metadata().unwrap());
            let found = runtime.block_on(async {
                assert_eq!(digests.find(&identity, &file), None);
                digests.wait(&identity).await
            });
            assert_eq!(found.as_deref(), Some(tag(text.as_bytes()).as_str()));
            assert_eq!(digests.find(&identity, &file), found);
        }
        assert_eq!(tag(b"abc"), "\"ba7816bf8f01cfea414140de5dae2223\"");
    }

    #[test]
    fn what_is_written_to_meanwhile_has_no_tag() {
        let folder = Folder::new("digest");
        let file = File::open(folder.write("a.txt", "one")).unwrap();
        let identity = Identity::of(&file.metadata().unwrap());
        folder.write("a.txt", "o");
        assert!(tag_of_file(&file, &identity).is_err());
        folder.write("a.txt", "longer");
        assert!(tag_of_file(&file, &identity).is_err());
    }
}
