//! A project's file without some of its tables: what benchmarks leave out of the examples.

/// `text` without those of its tables under `header` that `drop` names.
#[must_use]
pub fn without(text: &str, header: &str, drop: impl Fn(&str) -> bool) -> String {
    let (mut kept, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(header) {
        kept.push_str(&rest[..at]);
        let end = rest[at + 2..].find("\n[").map_or(rest.len(), |end| at + 2 + end + 1);
        let table = &rest[at..end];
        if !drop(table) {
            kept.push_str(table);
        }
        rest = &rest[end..];
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use super::without;

    #[test]
    fn a_table_goes_with_its_header_and_its_neighbours_stay() {
        let text = "a = 1\n[[b]]\nc = 1\n[[b]]\nc = 2\n[d]\ne = 3\n";
        assert_eq!(
            without(text, "[[b]]", |table| table.contains("c = 1")),
            "a = 1\n[[b]]\nc = 2\n[d]\ne = 3\n"
        );
        assert_eq!(without(text, "[d]", |_| true), "a = 1\n[[b]]\nc = 1\n[[b]]\nc = 2\n");
    }
}
