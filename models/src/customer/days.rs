//! Sets of days, bounded by keeping the latest: whatever is among the latest at the end was among them all along, so
//! no order of arrival makes a difference.

use serde::{Deserialize, Serialize};

use crate::units::Day;

/// Different days, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Packed", try_from = "Packed")]
pub struct DaySet {
    days: Vec<Day>,
}

/// The first day and the gaps between days: one byte each while gaps stay below 128 days.
#[derive(Serialize, Deserialize)]
struct Packed {
    first: Option<i32>,
    gaps: Vec<u32>,
}

impl DaySet {
    /// Adds `day`, and keeps the latest `bound` days.
    pub(crate) fn insert(&mut self, day: Day, bound: usize) {
        if let Err(at) = self.days.binary_search(&day) {
            self.days.insert(at, day);
            if self.days.len() > bound {
                self.days.remove(0);
            }
        }
    }

    /// The days, ascending.
    #[must_use]
    pub fn days(&self) -> &[Day] {
        &self.days
    }
}

impl From<DaySet> for Packed {
    fn from(set: DaySet) -> Self {
        let gap = |pair: &[Day]| u32::try_from(pair[1].since(pair[0])).unwrap_or(0);
        Self { first: set.days.first().map(|day| day.number()), gaps: set.days.windows(2).map(gap).collect() }
    }
}

impl TryFrom<Packed> for DaySet {
    type Error = String;

    fn try_from(packed: Packed) -> Result<Self, String> {
        let Some(first) = packed.first else {
            return if packed.gaps.is_empty() {
                Ok(Self::default())
            } else {
                Err("gaps without a day".to_owned())
            };
        };
        let mut day = first;
        let mut days = vec![Day::from_number(day)];
        for gap in packed.gaps {
            let next = i32::try_from(gap).ok().filter(|gap| *gap > 0).and_then(|gap| day.checked_add(gap));
            day = next.ok_or_else(|| format!("no day lies {gap} days after another"))?;
            days.push(Day::from_number(day));
        }
        Ok(Self { days })
    }
}
