//! A column whose cells are names, or numbers each of which is one: a code per row, and what each code stands for.
//!
//! Codes follow the order of the names, not of the file.

use std::collections::HashMap;
use std::sync::Arc;

use nextbest_models::table::number;

/// A column of names: sorted, with a code per row.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    pub(super) column: String,
    pub(super) levels: Arc<Vec<String>>,
    /// The levels as numbers, where all are finite ones.
    pub(super) numbers: Option<Arc<Vec<f64>>>,
    pub(super) codes: Vec<u32>,
}

/// A column under way: codes by first appearance.
#[derive(Default)]
pub(super) struct Interned {
    column: String,
    known: HashMap<String, u32>,
    codes: Vec<u32>,
}

impl Names {
    /// A column of numbers, each a level of its own.
    pub(super) fn of_numbers(values: Vec<f64>) -> Self {
        let codes = (0..values.len() as u32).collect();
        Self { numbers: Some(Arc::new(values)), codes, ..Self::default() }
    }

    /// The rows at `places` alone; levels are shared.
    pub(super) fn rows(&self, places: &[usize]) -> Self {
        let codes = places.iter().map(|&at| self.codes[at]).collect();
        let (levels, numbers) = (Arc::clone(&self.levels), self.numbers.clone());
        Self { column: self.column.clone(), levels, numbers, codes }
    }

    /// The number of every row, where the column holds numbers.
    pub(super) fn values(&self) -> Option<Vec<f64>> {
        let numbers = self.numbers.as_ref()?;
        Some(self.codes.iter().map(|code| numbers[*code as usize]).collect())
    }
}

impl Interned {
    pub(super) fn new(column: &str) -> Self {
        Self { column: column.to_owned(), ..Self::default() }
    }

    pub(super) fn column(&self) -> &str {
        &self.column
    }

    /// Adds a row.
    pub(super) fn push(&mut self, text: &str) {
        let next = self.known.len() as u32;
        let code = match self.known.get(text) {
            Some(code) => *code,
            None => *self.known.entry(text.to_owned()).or_insert(next),
        };
        self.codes.push(code);
    }

    /// Codes by the order of the texts, numbers by their size.
    pub(super) fn sorted(self) -> Names {
        let mut levels: Vec<(String, u32)> = self.known.into_iter().collect();
        let size = |text: &str| number(text).unwrap_or(f64::INFINITY);
        levels.sort_by(|a, b| size(&a.0).total_cmp(&size(&b.0)).then_with(|| a.0.cmp(&b.0)));
        let mut rank = vec![0; levels.len()];
        levels.iter().enumerate().for_each(|(at, (_, code))| rank[*code as usize] = at as u32);
        let codes = self.codes.iter().map(|code| rank[*code as usize]).collect();
        let finite = |(text, _): &(String, u32)| number(text).filter(|value| value.is_finite());
        let numbers = levels.iter().map(finite).collect::<Option<Vec<f64>>>().map(Arc::new);
        let levels = Arc::new(levels.into_iter().map(|(text, _)| text).collect());
        Names { column: self.column, levels, numbers, codes }
    }
}
