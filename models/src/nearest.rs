//! The known name closest to an unknown one, for error messages that help.
//!
//! Only wording depends on it; nothing may be decided by a nearest name.

/// The candidate with the smallest edit distance to `name` (letter case counts a little), the first on ties.
#[must_use]
pub fn nearest<'a, S: AsRef<str> + 'a + ?Sized>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a S>,
) -> Option<&'a str> {
    candidates.into_iter().map(AsRef::as_ref).min_by_key(|candidate: &&str| {
        let folded = distance(&name.to_lowercase(), &candidate.to_lowercase());
        (folded, distance(name, candidate))
    })
}

/// Levenshtein's distance in characters: the fewest insertions, deletions and replacements.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &other) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != other);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_whatever_its_case() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(nearest("customerid", &["InvoiceNo", "CustomerID"]), Some("CustomerID"));
        assert_eq!(nearest::<str>("x", []), None);
    }
}
