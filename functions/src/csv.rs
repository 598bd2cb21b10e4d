//! Cells of CSV, as mail houses and spreadsheets read them.

/// A text in quotes where CSV needs them (RFC 4180).
pub(crate) fn cell(text: &str) -> String {
    if text.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_with_commas_and_quotes_stay_one_cell() {
        assert_eq!(cell("plain-1"), "plain-1");
        assert_eq!(cell("a,\"b\"\n"), "\"a,\"\"b\"\"\n\"");
    }
}
