//! From what one pass found in a column to its kind, or to why it is left out.
//!
//! Numbers, where all known cells are; times of one form; yes and no; otherwise categories. Left out and named: empty
//! and constant columns, ids (nearly every value distinct, and no measurement), sentences, dates whose day and month
//! cannot be told apart, numbers written with currency or thousands separators (never guessed). A column of numbers
//! with few exceptions is a fault with the place of the first.

use nextbest_models::table::{CellKind, LeftOut, MAX_LEVELS, TimeForm};

use super::profile::{Found, Profile};

/// From this share of distinct values on a column may be one of ids.
const ID_SHARE: f64 = 0.95;
/// With fewer known cells nothing is called an id.
const ID_MIN_ROWS: u64 = 20;
/// From this share of numbers on the other cells are faults, not levels.
const NUMBER_SHARE: f64 = 0.95;
/// Columns of at most so many different cells are categories all the same.
const FEW_LEVELS: u64 = 50;
/// Words a cell has on average from which a column with many values is sentences.
const SENTENCE_WORDS: f64 = 4.0;
/// Share of written numbers from which a column is one of them.
const WRITTEN_SHARE: f64 = 0.8;
/// Texts that are yes and no.
const BOOLEANS: [(&str, &str); 4] = [("true", "false"), ("yes", "no"), ("t", "f"), ("y", "n")];

/// What a column is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Finding {
    /// A feature.
    Feature(CellKind),
    /// None, with what a person should know.
    LeftOut(LeftOut, String),
    /// A cell that cannot be used.
    Fault(Found, String),
}

/// What the caller said of a column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wish {
    /// Keep it although it looks like an id, sentences or a leak.
    pub(crate) keep: bool,
    /// Its cells are names, whatever they look like.
    pub(crate) category: bool,
}

/// The kind of the column `name`.
pub(crate) fn infer(name: &str, profile: &Profile, wish: Wish) -> Finding {
    let (n_numbers, n_plain) = (profile.n_numbers, profile.n_plain_texts());
    if profile.n_known() == 0 && profile.first_infinite.is_none() {
        return Finding::LeftOut(LeftOut::Empty, "missing in every row".to_owned());
    }
    if wish.category {
        return texts(profile, Wish { keep: true, ..wish });
    }
    if n_plain == 0 && (n_numbers > 0 || profile.first_infinite.is_some()) {
        return numbers(name, profile, wish);
    }
    let share = n_numbers as f64 / (n_numbers + n_plain) as f64;
    if share >= NUMBER_SHARE
        && profile.n_distinct() > FEW_LEVELS
        && let Some(found) = profile.first_text.clone()
    {
        let fault = format!(
            "{:?} is no number, {:.1} % of the column's known cells are; --missing {:?} counts it as missing, \
             --category {name:?} takes all cells as names, --drop {name:?} leaves the column out",
            found.text,
            100.0 * share,
            found.text,
        );
        return Finding::Fault(found, fault);
    }
    if n_numbers == 0
        && let Some(finding) = times(profile, n_plain, wish)
    {
        return finding;
    }
    texts(profile, wish)
}

fn numbers(name: &str, profile: &Profile, wish: Wish) -> Finding {
    if let Some(found) = profile.first_infinite.clone() {
        let fault = format!("{:?} is infinite; a number is finite, or missing", found.text);
        return Finding::Fault(found, fault);
    }
    let (low, high) = profile.range.unwrap_or_default();
    let any_missing = !profile.missing.is_empty() || !profile.missing_among_numbers.is_empty();
    if low == high && !any_missing {
        return constant(&low.to_string());
    }
    if !wish.keep
        && let Some(why) = id_of_numbers(name, profile, (low, high))
    {
        return Finding::LeftOut(LeftOut::IdLike, why);
    }
    Finding::Feature(CellKind::Number)
}

/// Why whole numbers are ids: nearly all distinct, and dense, in order, of one length, or called so.
fn id_of_numbers(name: &str, profile: &Profile, (low, high): (f64, f64)) -> Option<String> {
    let (n, distinct) = (profile.n_numbers, profile.n_distinct());
    if profile.n_fractions > 0 || n < ID_MIN_ROWS || (distinct as f64) < ID_SHARE * n as f64 {
        return None;
    }
    let sign = if profile.rises || profile.falls {
        "in the order of the rows"
    } else if high - low + 1.0 <= 2.0 * n as f64 {
        "with hardly a gap between them"
    } else if profile.lengths.0 == profile.lengths.1 && profile.lengths.0 >= 5 {
        "all of one length"
    } else if is_called_id(name) {
        "in a column called so"
    } else {
        return None;
    };
    Some(format!("{distinct} different whole numbers in {n} rows, {sign}"))
}

fn is_called_id(name: &str) -> bool {
    let lower = name.to_lowercase();
    let camel = name.ends_with("ID") || name.ends_with("Id");
    camel || lower == "id" || lower == "index" || lower.ends_with("_id") || lower.ends_with("uuid")
}

fn times(profile: &Profile, n_plain: u64, wish: Wish) -> Option<Finding> {
    let all = |form: TimeForm| {
        TimeForm::ALL.iter().zip(profile.n_times).any(|(&other, n)| other == form && n == n_plain && n > 0)
    };
    let form = TimeForm::ALL.into_iter().find(|&form| all(form))?;
    if profile.n_distinct() == 1 && profile.missing.is_empty() {
        return Some(constant(&first_level(profile)));
    }
    if all(TimeForm::DaySlash) && all(TimeForm::MonthSlash) {
        if wish.keep {
            return None;
        }
        let example = first_level(profile);
        let why =
            format!("dates such as {example:?} may be DD/MM/YYYY or MM/DD/YYYY, and no row tells which");
        return Some(Finding::LeftOut(LeftOut::AmbiguousDate, why));
    }
    Some(Finding::Feature(CellKind::Time(form)))
}

fn texts(profile: &Profile, wish: Wish) -> Finding {
    let (n_known, distinct) = (profile.n_known(), profile.n_distinct());
    if distinct == 1 && profile.missing.is_empty() {
        return constant(&first_level(profile));
    }
    let levels = profile.levels();
    if !wish.category
        && let [(a, _), (b, _)] = levels.as_slice()
        && let Some(kind) = boolean(a, b)
    {
        return Finding::Feature(kind);
    }
    if !wish.keep
        && let Some((reason, why)) = no_category(profile, n_known, distinct)
    {
        return Finding::LeftOut(reason, why);
    }
    let other = distinct > MAX_LEVELS as u64;
    let levels = levels.into_iter().take(MAX_LEVELS).map(|(text, _)| text).collect();
    Finding::Feature(CellKind::Category { levels, other })
}

fn boolean(a: &str, b: &str) -> Option<CellKind> {
    let is = |yes: &str, no: &str| {
        let (a, b) = (a.to_lowercase(), b.to_lowercase());
        (a == yes && b == no) || (a == no && b == yes)
    };
    let (yes, no) = BOOLEANS.into_iter().find(|(yes, no)| is(yes, no))?;
    Some(CellKind::Boolean { yes: yes.to_owned(), no: no.to_owned() })
}

/// Why texts are no levels of a category.
fn no_category(profile: &Profile, n_known: u64, distinct: u64) -> Option<(LeftOut, String)> {
    let share = distinct as f64 / n_known as f64;
    let words = profile.n_words as f64 / profile.n_texts.max(1) as f64;
    let example = profile.first_text.as_ref().map_or("", |found| found.text.as_str());
    if profile.n_written as f64 >= WRITTEN_SHARE * n_known as f64 && distinct > 2 {
        let why = format!("numbers such as {example:?} are not guessed; write them plainly, as 1234.5");
        return Some((LeftOut::WrittenNumber, why));
    }
    let is_many = distinct > MAX_LEVELS as u64 || (share >= ID_SHARE && n_known >= ID_MIN_ROWS);
    if words >= SENTENCE_WORDS && share >= 0.5 && is_many {
        return Some((LeftOut::FreeText, format!("{words:.0} words a cell, {distinct} different cells")));
    }
    if share >= ID_SHARE && n_known >= ID_MIN_ROWS {
        return Some((LeftOut::IdLike, format!("{distinct} different texts in {n_known} rows")));
    }
    None
}

fn constant(value: &str) -> Finding {
    Finding::LeftOut(LeftOut::Constant, format!("{value:?} in every row"))
}

fn first_level(profile: &Profile) -> String {
    profile.levels().into_iter().next().map_or_else(String::new, |(text, _)| text)
}

#[cfg(test)]
mod tests;
