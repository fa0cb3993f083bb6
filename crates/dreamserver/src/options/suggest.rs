//! "Did you mean": the known name that is nearest to what was written.

/// The name of `known` that is likely meant by `written`.
pub(super) fn nearest<'a>(written: &str, known: &[&'a str]) -> Option<&'a str> {
    let written: Vec<char> = written.to_lowercase().chars().take(LONGEST).collect();
    known
        .iter()
        .map(|name| {
            (
                distance(&written, &name.chars().collect::<Vec<char>>()),
                *name,
            )
        })
        .filter(|(distance, name)| *distance <= (name.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// How many letters to insert, delete, replace or swap with their neighbour.
fn distance(from: &[char], to: &[char]) -> usize {
    let mut older = vec![0; to.len() + 1];
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for (row, letter) in from.iter().enumerate() {
        let mut line = vec![row + 1; to.len() + 1];
        for (column, other) in to.iter().enumerate() {
            let replaced = above[column] + usize::from(letter != other);
            line[column + 1] = replaced.min(above[column + 1] + 1).min(line[column] + 1);
            let swapped =
                row > 0 && column > 0 && from[row - 1] == *other && to[column - 1] == *letter;
            if swapped {
                line[column + 1] = line[column + 1].min(older[column - 1] + 1);
            }
        }
        older = std::mem::replace(&mut above, line);
    }
    above[to.len()]
}

/// No option has a longer name; more of a written one need not be looked at.
const LONGEST: usize = 40;

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_slips_and_leaves_strangers_alone() {
        let known = ["listen", "limits", "timeouts", "proxy"];
        assert_eq!(nearest("lisen", &known), Some("listen"));
        assert_eq!(nearest("porxy", &known), Some("proxy"));
        assert_eq!(nearest("Timeout", &known), Some("timeouts"));
        assert_eq!(nearest("bananas", &known), None);
    }
}
