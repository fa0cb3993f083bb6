//! The entries as a person wants to see them: `forward_targets.txt`, one `domain port` a line.

use std::borrow::Borrow;
use std::io;

use super::buffered::Buffered;
use super::disk::replace_with;
use super::{Disk, Entry};
use crate::digits;

/// Writes the list anew; the entries come in the order of their domains. Nobody reads it back, so a crash may leave an older one.
///
/// # Errors
/// What the system says; the list is as it was.
pub fn mirror<'a, E: Borrow<Entry>>(
    disk: &impl Disk,
    all: impl IntoIterator<Item = (&'a str, E)>,
) -> io::Result<()> {
    replace_with(disk, FILE, |file| {
        let mut out = Buffered::new(file);
        for (name, entry) in all {
            out.waiting.extend_from_slice(name.as_bytes());
            out.waiting.push(b' ');
            digits::decimal(u64::from(entry.borrow().port), 1, &mut out.waiting);
            out.waiting.push(b'\n');
            out.write_if_much()?;
        }
        out.write()
    })
}

const FILE: &str = "forward_targets.txt";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::simulated::Simulated;

    #[test]
    fn the_list_is_replaced_whole() {
        let disk = Simulated::new(1);
        let [one, two] = [1, 5665].map(Entry::on_port);
        mirror(&disk, [("a.example", &two), ("b.example", &one)]).unwrap();
        let text = disk.read(FILE).unwrap();
        assert_eq!(text, b"a.example 5665\nb.example 1\n");
        let nothing: [(&str, Entry); 0] = [];
        mirror(&disk, nothing).unwrap();
        assert_eq!(disk.read(FILE).unwrap(), b"");
        assert_eq!(disk.list().unwrap(), [FILE]);
    }
}
