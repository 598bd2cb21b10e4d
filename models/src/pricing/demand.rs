//! Demand by price: per SKU a curve that is linear in logarithms, `ln units = a + elasticity * ln(price / reference)`.
//!
//! Records stand sealed in the artifact, sorted for search: one for all SKUs, one per category, one per SKU. The
//! elasticity is negative in every record that has one, by the way it is fitted and by the check at open, so demand
//! always falls with price. Fitting lives in training; what a curve is worth in margin lives beside, in `ladder`.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use zerocopy::little_endian::{F64, I64, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::propensity::Bytes;
use crate::units::Probability;

/// Elasticities lie within this distance of 0.
pub const ELASTICITY_BOUND: f64 = 20.0;

/// What a record speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DemandLevel {
    /// All SKUs together.
    Overall,
    /// One category.
    Category,
    /// One SKU.
    Sku,
    /// What the price of one SKU of a category does to the demand for each of its other SKUs, on average over the prices;
    /// `own` holds the estimate.
    Cross,
}

/// Percent change of units per percent change of price, with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Elasticity {
    /// Mean, negative.
    pub value: f64,
    /// Standard deviation of the belief.
    pub se: f64,
    /// 2.5 % point.
    pub lo: f64,
    /// 97.5 % point, negative too.
    pub hi: f64,
}

impl Elasticity {
    /// Expected demand over that at the reference price, the uncertainty of the elasticity e ~ N(m, s^2) carried through:
    /// `E[exp(e l)] = exp(m l + s^2 l^2 / 2)`, l the logarithm of the price over the reference.
    #[must_use]
    pub fn relative(&self, log_ratio: f64) -> f64 {
        (log_ratio * (self.value + 0.5 * self.se * self.se * log_ratio)).exp()
    }
}

/// What the data say of one SKU, category or all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DemandRecord {
    /// SKU, category or all.
    pub level: DemandLevel,
    /// Name of the SKU or category; empty for all.
    pub name: String,
    /// The category of a SKU, where one is known.
    pub category: Option<String>,
    /// The price, in minor units, at which `units_per_week` is expected; at least 1.
    pub reference_price_minor: i64,
    /// Expected units a week at the reference price, of one SKU.
    pub units_per_week: f64,
    /// The elasticity to price with; none where neither its own data nor those above it tell.
    pub elasticity: Option<Elasticity>,
    /// The estimate from its own data `(value, se)`, of either sign, less a bias that SKUs like it tell where weeks outside an
    /// experiment are used; none where its price varied too little.
    pub own: Option<(f64, f64)>,
    /// Probability that one price shown at the reference price is followed by a purchase; none where nothing was shown.
    pub purchase_probability: Option<f64>,
    /// Weeks with a price.
    pub n_weeks: u64,
    /// Units sold in them.
    pub n_units: u64,
    /// Prices shown.
    pub n_shown: u64,
    /// Codes: `variation_too_small`, `pooled`, `sign_truncated`.
    pub flags: Vec<String>,
}

const FLAGS: [&str; 3] = ["variation_too_small", "pooled", "sign_truncated"];

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Counts {
    n_records: U32,
    n_name_bytes: U32,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Record {
    level: U32,
    flags: U32,
    name_at: U32,
    name_length: U32,
    category_at: U32,
    category_length: U32,
    reference_price_minor: I64,
    units_per_week: F64,
    elasticity: [F64; 4],
    own: [F64; 2],
    purchase_probability: F64,
    n_weeks: U64,
    n_units: U64,
    n_shown: U64,
}

/// Why records cannot be sealed, or bytes are no demand model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DemandError {
    /// Not the counts, records and names they promise.
    #[error("{0} bytes are not the demand records they promise")]
    Length(usize),
    /// A record that breaks a rule.
    #[error("demand record {record} ({name:?}): {message}")]
    Record {
        /// Which, from 0.
        record: usize,
        /// Its name.
        name: String,
        /// What is wrong.
        message: &'static str,
    },
}

/// The demand model inside an artifact.
#[derive(Clone, Debug)]
pub struct DemandModel {
    bytes: Bytes,
    range: Range<usize>,
    n_skus: usize,
}

/// The sealed form of `records`, sorted by level and name.
pub fn seal(mut records: Vec<DemandRecord>) -> Result<Vec<u8>, DemandError> {
    records.sort_by(|a, b| (a.level, &a.name).cmp(&(b.level, &b.name)));
    let (mut names, mut body) = (Vec::new(), Vec::new());
    for (at, record) in records.iter().enumerate() {
        let narrow = |number: usize| U32::new(u32::try_from(number).unwrap_or(u32::MAX));
        let mut place = |text: &str| {
            let start = names.len();
            names.extend_from_slice(text.as_bytes());
            (narrow(start), narrow(text.len()))
        };
        let (name_at, name_length) = place(&record.name);
        let (category_at, category_length) = place(record.category.as_deref().unwrap_or(""));
        let flag = |(bit, code): (usize, &&str)| u32::from(record.flags.iter().any(|f| f == code)) << bit;
        let nan = [f64::NAN; 4];
        let elasticity = record.elasticity.map_or(nan, |e| [e.value, e.se, e.lo, e.hi]);
        let packed = Record {
            level: U32::new(record.level as u32),
            flags: U32::new(FLAGS.iter().enumerate().map(flag).sum()),
            name_at,
            name_length,
            category_at,
            category_length,
            reference_price_minor: I64::new(record.reference_price_minor),
            units_per_week: F64::new(record.units_per_week),
            elasticity: elasticity.map(F64::new),
            own: record.own.map_or([f64::NAN; 2], |(value, se)| [value, se]).map(F64::new),
            purchase_probability: F64::new(record.purchase_probability.unwrap_or(f64::NAN)),
            n_weeks: U64::new(record.n_weeks),
            n_units: U64::new(record.n_units),
            n_shown: U64::new(record.n_shown),
        };
        check(&packed).map_err(|message| DemandError::Record {
            record: at,
            name: record.name.clone(),
            message,
        })?;
        body.extend_from_slice(packed.as_bytes());
    }
    let n_records = U32::new(u32::try_from(records.len()).unwrap_or(u32::MAX));
    let n_name_bytes = U32::new(u32::try_from(names.len()).unwrap_or(u32::MAX));
    let mut bytes = Counts { n_records, n_name_bytes }.as_bytes().to_vec();
    bytes.extend(body);
    bytes.extend(names);
    Ok(bytes)
}

fn check(record: &Record) -> Result<(), &'static str> {
    let [value, se, lo, hi] = record.elasticity.map(F64::get);
    let absent = [value, se, lo, hi].iter().all(|number| number.is_nan());
    let sound =
        lo <= value && value <= hi && hi < 0.0 && se >= 0.0 && se.is_finite() && lo >= -ELASTICITY_BOUND;
    if !absent && !sound {
        return Err("its elasticity is not negative with an interval around it");
    }
    if record.reference_price_minor.get() < 1 {
        return Err("its reference price is below 1");
    }
    let units = record.units_per_week.get();
    if !(units >= 0.0 && units.is_finite()) {
        return Err("its units a week are not a number >= 0");
    }
    let probability = record.purchase_probability.get();
    if !probability.is_nan() && !(0.0..=1.0).contains(&probability) {
        return Err("its purchase probability lies outside 0 ..= 1");
    }
    if record.level.get() > DemandLevel::Cross as u32 || record.flags.get() >= 1 << FLAGS.len() {
        return Err("its level or flags are not known");
    }
    Ok(())
}

impl DemandModel {
    pub(crate) fn open(bytes: Bytes, range: Range<usize>) -> Result<Self, DemandError> {
        let mut model = Self { bytes, range, n_skus: 0 };
        let length = model.slice().len();
        let Ok((counts, rest)) = Counts::ref_from_prefix(model.slice()) else {
            return Err(DemandError::Length(length));
        };
        let (n_records, n_names) = (counts.n_records.get() as usize, counts.n_name_bytes.get() as usize);
        if n_records.checked_mul(size_of::<Record>()).and_then(|n| n.checked_add(n_names)) != Some(rest.len())
        {
            return Err(DemandError::Length(length));
        }
        let (records, names) = model.parts();
        let mut last: Option<(u32, &str)> = None;
        for (at, record) in records.iter().enumerate() {
            let fault =
                |message, name: &str| DemandError::Record { record: at, name: name.to_owned(), message };
            let Some(name) = text(names, record.name_at, record.name_length) else {
                return Err(fault("its name is not there", ""));
            };
            if text(names, record.category_at, record.category_length).is_none() {
                return Err(fault("its category is not there", name));
            }
            check(record).map_err(|message| fault(message, name))?;
            let key = (record.level.get(), name);
            if last.is_some_and(|last| last >= key) {
                return Err(fault("it stands twice or out of order", name));
            }
            last = Some(key);
        }
        let n_skus = records.iter().filter(|record| record.level.get() == DemandLevel::Sku as u32).count();
        model.n_skus = n_skus;
        Ok(model)
    }

    fn slice(&self) -> &[u8] {
        self.bytes.get(self.range.clone()).unwrap_or(&[])
    }

    fn find(&self, level: DemandLevel, name: &str) -> Option<(&Record, &[u8])> {
        let (records, names) = self.parts();
        let key = |record: &Record| {
            (record.level.get(), text(names, record.name_at, record.name_length).unwrap_or(""))
        };
        let at = records.binary_search_by(|record| key(record).cmp(&(level as u32, name))).ok()?;
        Some((&records[at], names))
    }

    fn parts(&self) -> (&[Record], &[u8]) {
        let Ok((counts, rest)) = Counts::ref_from_prefix(self.slice()) else { return (&[], &[]) };
        let n_records = counts.n_records.get() as usize;
        <[Record]>::ref_from_prefix_with_elems(rest, n_records).unwrap_or((&[], &[]))
    }

    /// How many SKUs have a record.
    #[must_use]
    pub const fn n_skus(&self) -> usize {
        self.n_skus
    }

    /// The record of `level` and `name` (empty for [`DemandLevel::Overall`]).
    #[must_use]
    pub fn record(&self, level: DemandLevel, name: &str) -> Option<DemandRecord> {
        self.find(level, name).map(|(record, names)| unpack(record, names))
    }

    /// Units a week of `sku` at its reference price, that price in minor units, and its elasticity; none where they are not told.
    pub(super) fn told(&self, sku: &str) -> Option<(f64, i64, Elasticity)> {
        let (record, _) = self.find(DemandLevel::Sku, sku)?;
        let [value, se, lo, hi] = record.elasticity.map(F64::get);
        let elasticity = (!value.is_nan()).then_some(Elasticity { value, se, lo, hi })?;
        Some((record.units_per_week.get(), record.reference_price_minor.get(), elasticity))
    }

    /// Percent change of the units of a SKU of `category` per percent change of the price of one of its neighbours, on
    /// average over these; a neighbour with the share s of the n SKUs' units does n s times that. None where it was not
    /// told.
    #[must_use]
    pub fn cross_elasticity(&self, category: &str) -> Option<f64> {
        let (record, _) = self.find(DemandLevel::Cross, category)?;
        Some(record.own[0].get()).filter(|value| value.is_finite())
    }

    /// Every record: all, categories, SKUs, each sorted by name.
    pub fn records(&self) -> impl Iterator<Item = DemandRecord> {
        let (records, names) = self.parts();
        records.iter().map(move |record| unpack(record, names))
    }

    /// The curve to price `sku` with: its own, else that of `category`, else that of all, moved to
    /// `list_price_minor` (at least 1). None where no level tells an elasticity.
    #[must_use]
    pub fn curve(&self, sku: &str, category: Option<&str>, list_price_minor: i64) -> Option<DemandCurve> {
        let own = self.record(DemandLevel::Sku, sku);
        if let Some(record) = &own
            && let Some(elasticity) = record.elasticity
        {
            return Some(DemandCurve {
                level: DemandLevel::Sku,
                reference_price_minor: record.reference_price_minor,
                elasticity,
                units_per_week: Some(record.units_per_week),
                base_probability: record.purchase_probability,
                flags: record.flags.clone(),
            });
        }
        let category = category.map(str::to_owned).or(own.and_then(|record| record.category));
        let category = category.and_then(|name| self.record(DemandLevel::Category, &name));
        let shared = category.and_then(|record| pooled(&record, list_price_minor));
        shared.or_else(|| self.average_curve(list_price_minor))
    }

    /// The curve of all SKUs together, moved to `list_price_minor` (at least 1): what the model control is priced with.
    /// None where no elasticity is known.
    #[must_use]
    pub fn average_curve(&self, list_price_minor: i64) -> Option<DemandCurve> {
        pooled(&self.record(DemandLevel::Overall, "")?, list_price_minor)
    }
}

/// The curve of many SKUs, for one of them.
fn pooled(record: &DemandRecord, list_price_minor: i64) -> Option<DemandCurve> {
    Some(DemandCurve {
        level: record.level,
        reference_price_minor: list_price_minor.max(1),
        elasticity: record.elasticity?,
        units_per_week: None,
        base_probability: record.purchase_probability,
        flags: vec!["pooled".to_owned()],
    })
}

fn text(names: &[u8], at: U32, length: U32) -> Option<&str> {
    let start = at.get() as usize;
    std::str::from_utf8(names.get(start..start.checked_add(length.get() as usize)?)?).ok()
}

fn unpack(record: &Record, names: &[u8]) -> DemandRecord {
    let name = |at, length| text(names, at, length).unwrap_or("").to_owned();
    let number = |number: F64| Some(number.get()).filter(|number| !number.is_nan());
    let category = Some(name(record.category_at, record.category_length)).filter(|name| !name.is_empty());
    let [value, se, lo, hi] = record.elasticity.map(F64::get);
    let known =
        |(bit, code): (usize, &&str)| (record.flags.get() >> bit & 1 == 1).then(|| (*code).to_owned());
    DemandRecord {
        level: match record.level.get() {
            0 => DemandLevel::Overall,
            1 => DemandLevel::Category,
            2 => DemandLevel::Sku,
            _ => DemandLevel::Cross,
        },
        name: name(record.name_at, record.name_length),
        category,
        reference_price_minor: record.reference_price_minor.get(),
        units_per_week: record.units_per_week.get(),
        elasticity: (!value.is_nan()).then_some(Elasticity { value, se, lo, hi }),
        own: number(record.own[0]).zip(number(record.own[1])),
        purchase_probability: number(record.purchase_probability),
        n_weeks: record.n_weeks.get(),
        n_units: record.n_units.get(),
        n_shown: record.n_shown.get(),
        flags: FLAGS.iter().enumerate().filter_map(known).collect(),
    }
}

/// How demand for one item answers to its price.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DemandCurve {
    /// Whose data the elasticity is.
    pub level: DemandLevel,
    /// The price, in minor units, the curve is anchored at; at least 1.
    pub reference_price_minor: i64,
    /// Its slope in logarithms.
    pub elasticity: Elasticity,
    /// Expected units a week at the reference price, where the SKU's own data tell.
    pub units_per_week: Option<f64>,
    /// Probability that a price shown at the reference price is followed by a purchase, where prices were shown.
    pub base_probability: Option<f64>,
    /// Codes of the record.
    pub flags: Vec<String>,
}

impl DemandCurve {
    /// Expected demand at `price_minor` (at least 1) over demand at the reference price: [`Elasticity::relative`].
    #[must_use]
    pub fn relative(&self, price_minor: i64) -> f64 {
        self.elasticity.relative(self.log_ratio(price_minor))
    }

    /// ln(price / reference).
    #[must_use]
    pub fn log_ratio(&self, price_minor: i64) -> f64 {
        (price_minor.max(1) as f64 / self.reference_price_minor.max(1) as f64).ln()
    }

    /// The probability that `price_minor`, when shown, is followed by a purchase: the base times [`Self::relative`],
    /// at most 1. None where no prices were shown.
    #[must_use]
    pub fn purchase_probability(&self, price_minor: i64) -> Option<Probability> {
        let base = self.base_probability?;
        Probability::new((base * self.relative(price_minor)).clamp(0.0, 1.0)).ok()
    }
}
