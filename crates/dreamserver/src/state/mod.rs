//! What the server remembers of announcements, so that nothing that was acknowledged is ever lost.

mod disk;
mod folder;

pub use self::disk::{Disk, DiskFile};
pub use self::folder::{Folder, FolderError, NoFolder, folder};
