//! The entries as a person wants to see them: `forward_targets.txt`, one `domain port` a line.

use std::io;

use super::disk::replace;
use super::{Disk, Entry};
use crate::digits;

/// Writes the list anew, sorted by domain. Nobody reads it back, so a crash may leave an older one.
///
/// # Errors
/// What the system says; the list is as it was.
pub fn mirror<'a>(
    disk: &impl Disk,
    all: impl IntoIterator<Item = (&'a str, &'a Entry)>,
) -> io::Result<()> {
    let mut lines: Vec<(&str, u16)> = all
        .into_iter()
        .map(|(name, entry)| (name, entry.port))
        .collect();
    lines.sort_unstable();
    let mut text = Vec::new();
    for (name, port) in lines {
        text.extend_from_slice(name.as_bytes());
        text.push(b' ');
        digits::decimal(u64::from(port), 1, &mut text);
        text.push(b'\n');
    }
    replace(disk, FILE, &text)
}

const FILE: &str = "forward_targets.txt";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::simulated::Simulated;

    #[test]
    fn the_list_is_sorted_and_replaced_whole() {
        let disk = Simulated::new(1);
        let [one, two] = [1, 5665].map(Entry::on_port);
        mirror(&disk, [("b.example", &one), ("a.example", &two)]).unwrap();
        let text = disk.read(FILE).unwrap();
        assert_eq!(text, b"a.example 5665\nb.example 1\n");
        mirror(&disk, []).unwrap();
        assert_eq!(disk.read(FILE).unwrap(), b"");
        assert_eq!(disk.list().unwrap(), [FILE]);
    }
}
