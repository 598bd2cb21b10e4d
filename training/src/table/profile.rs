//! What one pass over a column finds: counts by which its kind is inferred, in bounded memory.
//!
//! A column keeps at most a few thousand texts with their counts. Where there are more, the rare half is forgotten
//! from time to time, which frequent levels survive; how many different ones there were is then estimated.

use std::collections::{BTreeMap, HashMap};

use nextbest_models::table::{MissingTokens, TimeForm, number};

use super::distinct::Distinct;

/// Most texts a column keeps with their counts.
const MAX_KEPT: usize = 8192;
/// Different texts that are counted exactly.
const MAX_EXACT: usize = 1 << 16;

/// A cell and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) row: u64,
    pub(crate) text: String,
}

/// What is known of a column. Cells missing anywhere are counted in `missing` and nowhere else.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    /// Rows by missing token.
    pub(crate) missing: BTreeMap<String, u64>,
    /// Rows by token that is missing only among numbers; they are texts too.
    pub(crate) missing_among_numbers: BTreeMap<String, u64>,
    /// Finite numbers.
    pub(crate) n_numbers: u64,
    /// Those with a fraction.
    pub(crate) n_fractions: u64,
    /// Cells that are no number, tokens among numbers included.
    pub(crate) n_texts: u64,
    /// Texts that are a time of each form.
    pub(crate) n_times: [u64; TimeForm::ALL.len()],
    /// Texts that are a number but for currency, percent or thousands separators.
    pub(crate) n_written: u64,
    /// Words of all texts.
    pub(crate) n_words: u64,
    /// The first text that is no number and no token.
    pub(crate) first_text: Option<Found>,
    /// The first infinite number.
    pub(crate) first_infinite: Option<Found>,
    /// Smallest and largest finite number.
    pub(crate) range: Option<(f64, f64)>,
    /// Fewest and most characters of a known cell.
    pub(crate) lengths: (usize, usize),
    /// Whether each number is above (below) the one before.
    pub(crate) rises: bool,
    pub(crate) falls: bool,
    last: f64,
    /// Whether numbers, too, are kept as texts.
    names: bool,
    levels: HashMap<String, u64>,
    /// Different texts, once `levels` does not hold them all.
    distinct: Option<Distinct>,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            missing: BTreeMap::new(),
            missing_among_numbers: BTreeMap::new(),
            n_numbers: 0,
            n_fractions: 0,
            n_texts: 0,
            n_times: [0; TimeForm::ALL.len()],
            n_written: 0,
            n_words: 0,
            first_text: None,
            first_infinite: None,
            range: None,
            lengths: (usize::MAX, 0),
            rises: true,
            falls: true,
            last: f64::NAN,
            names: false,
            levels: HashMap::new(),
            distinct: None,
        }
    }
}

impl Profile {
    /// Of a column whose cells are names even where they look like numbers.
    pub(crate) fn of_names() -> Self {
        Self { names: true, ..Self::default() }
    }

    /// Takes the cell `text`, trimmed, of row `row`.
    pub(crate) fn observe(&mut self, row: u64, text: &str, tokens: &MissingTokens) {
        let is_missing = text.is_empty() || tokens.anywhere(text);
        if is_missing {
            count(&mut self.missing, text);
            return;
        }
        self.lengths = (self.lengths.0.min(text.len()), self.lengths.1.max(text.len()));
        match number(text) {
            Some(value) if value.is_finite() => self.number(value),
            Some(_) => {
                self.first_infinite.get_or_insert_with(|| Found { row, text: text.to_owned() });
            }
            None => self.text(row, text, tokens),
        }
        self.level(text);
    }

    fn number(&mut self, value: f64) {
        self.n_numbers += 1;
        self.n_fractions += u64::from(value.fract() != 0.0);
        let (low, high) = self.range.unwrap_or((value, value));
        self.range = Some((low.min(value), high.max(value)));
        if self.n_numbers > 1 {
            self.rises &= value > self.last;
            self.falls &= value < self.last;
        }
        self.last = value;
    }

    fn text(&mut self, row: u64, text: &str, tokens: &MissingTokens) {
        self.n_texts += 1;
        self.n_words += text.split_whitespace().count() as u64;
        if tokens.among_numbers(text) {
            count(&mut self.missing_among_numbers, text);
            return;
        }
        let n_before = self.n_plain_texts() - 1;
        self.first_text.get_or_insert_with(|| Found { row, text: text.to_owned() });
        for (form, n) in TimeForm::ALL.iter().zip(&mut self.n_times) {
            // A form that has failed once is not the column's.
            if *n == n_before && form.days(text).is_some() {
                *n += 1;
            }
        }
        self.n_written += u64::from(is_written_number(text));
    }

    fn level(&mut self, text: &str) {
        if let Some(n) = self.levels.get_mut(text) {
            *n += 1;
        } else if self.is_many_numbers() && self.n_texts == 0 {
            // Of such a column only the whole numbers' distinctness matters: ids are whole.
            if self.n_fractions > 0 {
                return;
            }
        } else {
            self.levels.insert(text.to_owned(), 1);
        }
        if let Some(distinct) = &mut self.distinct {
            distinct.add(text);
        }
        if self.levels.len() > MAX_KEPT {
            self.forget();
        }
    }

    /// More numbers than are kept, and no text among them.
    fn is_many_numbers(&self) -> bool {
        self.distinct.is_some() && self.levels.is_empty()
    }

    /// Forgets the rarer half; of numbers all.
    fn forget(&mut self) {
        if self.distinct.is_none() {
            let mut distinct = Distinct::new(MAX_EXACT);
            self.levels.keys().for_each(|text| distinct.add(text));
            self.distinct = Some(distinct);
        }
        let mut levels: Vec<(String, u64)> = self.levels.drain().collect();
        if self.names || self.n_texts > 0 {
            levels.sort_by(by_count);
            levels.truncate(MAX_KEPT / 2);
            self.levels = levels.into_iter().collect();
        }
    }

    /// Texts that are no token.
    pub(crate) fn n_plain_texts(&self) -> u64 {
        self.n_texts - self.missing_among_numbers.values().sum::<u64>()
    }

    /// Cells that are not missing anywhere.
    pub(crate) fn n_known(&self) -> u64 {
        self.n_numbers + self.n_texts
    }

    /// Different cells among the known; of many fractions only so many as were kept.
    pub(crate) fn n_distinct(&self) -> u64 {
        self.distinct.as_ref().map_or(self.levels.len() as u64, Distinct::count)
    }

    /// Whether [`Self::n_distinct`] is exact.
    pub(crate) fn is_exact(&self) -> bool {
        let counted = self.distinct.as_ref().is_none_or(Distinct::is_exact);
        counted && !(self.is_many_numbers() && self.n_fractions > 0)
    }

    /// The levels kept, the most frequent first, by text where equally frequent.
    pub(crate) fn levels(&self) -> Vec<(String, u64)> {
        let mut levels: Vec<(String, u64)> = self.levels.iter().map(|(text, n)| (text.clone(), *n)).collect();
        levels.sort_by(by_count);
        levels
    }
}

fn by_count(a: &(String, u64), b: &(String, u64)) -> std::cmp::Ordering {
    b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0))
}

fn count(counts: &mut BTreeMap<String, u64>, text: &str) {
    match counts.get_mut(text) {
        Some(n) => *n += 1,
        None => {
            counts.insert(text.to_owned(), 1);
        }
    }
}

/// `1,234.50`, `$12`, `12 %`, `1 234 EUR`: digits with signs, separators and a short unit before or behind.
fn is_written_number(text: &str) -> bool {
    let is_digit = |c: char| c.is_ascii_digit();
    let (Some(first), Some(last)) = (text.find(is_digit), text.rfind(is_digit)) else { return false };
    let is_unit = |unit: &str| {
        let unit = unit.trim_matches(|c: char| c.is_whitespace() || "+-(),.".contains(c));
        unit.is_empty()
            || ["$", "\u{20ac}", "\u{a3}", "\u{a5}", "%", "USD", "EUR", "GBP", "CHF", "JPY"].contains(&unit)
    };
    let Some(middle) = text.get(first..=last) else { return false };
    let only_number = middle.chars().all(|c| is_digit(c) || ",.' \u{a0}\u{202f}".contains(c));
    only_number && is_unit(&text[..first]) && is_unit(&text[last + 1..]) && text.parse::<f64>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile<'a>(cells: impl IntoIterator<Item = &'a str>) -> Profile {
        let tokens = MissingTokens::with(&[]);
        let mut profile = Profile::default();
        cells.into_iter().zip(2..).for_each(|(cell, row)| profile.observe(row, cell, &tokens));
        profile
    }

    #[test]
    fn cells_are_counted_by_what_they_are() {
        let found = profile(["1", "2.5", "NA", "?", "x y", "inf", "", "2.5"]);
        assert_eq!((found.n_numbers, found.n_fractions, found.n_texts, found.n_plain_texts()), (3, 2, 2, 1));
        assert_eq!(found.missing, BTreeMap::from([(String::new(), 1), ("NA".into(), 1)]));
        assert_eq!(found.first_text, Some(Found { row: 6, text: "x y".into() }));
        assert_eq!(found.first_infinite, Some(Found { row: 7, text: "inf".into() }));
        assert_eq!((found.range, found.n_distinct(), found.is_exact()), (Some((1.0, 2.5)), 5, true));
        assert_eq!(found.levels()[0], ("2.5".into(), 2));
    }

    #[test]
    fn frequent_levels_survive_many_rare_ones() {
        let texts: Vec<String> =
            (0..60_000_u32).map(|n| if n % 3 == 0 { "often".into() } else { format!("t{n}") }).collect();
        let found = profile(texts.iter().map(String::as_str));
        assert_eq!(found.levels()[0], ("often".into(), 20_000));
        assert!(found.levels().len() <= MAX_KEPT && found.is_exact());
        assert_eq!(found.n_distinct(), 40_001);
    }

    #[test]
    fn many_numbers_are_not_kept_but_whole_ones_are_told_apart() {
        let whole: Vec<String> = (0..20_000_u32).map(|n| (n / 2).to_string()).collect();
        let found = profile(whole.iter().map(String::as_str));
        assert!(found.levels().is_empty());
        assert_eq!((found.n_distinct(), found.rises), (10_000, false));
        let fractions: Vec<String> = (0..20_000_u32).map(|n| format!("{n}.5")).collect();
        let found = profile(fractions.iter().map(String::as_str));
        assert!(found.levels().is_empty() && !found.is_exact() && found.rises);
    }

    #[test]
    fn numbers_as_people_write_them_are_recognised_and_ranges_are_not() {
        for text in ["1,234.50", "$12", "12 %", "-1 234 EUR", "1'000", "(5%)", "\u{a3}3.20"] {
            assert!(is_written_number(text), "{text}");
        }
        for text in ["12", "1.5e3", "4~8", "$37500 - $49999", "1-2", "a12", "5th", "2PM", "%", ""] {
            assert!(!is_written_number(text), "{text}");
        }
    }
}
