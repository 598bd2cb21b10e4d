//! Files of a simulation: the log, the decision log, the truth. Written in blocks, in order, with flat memory.
//!
//! Rows stand in the order of customer numbers, and within a customer by (known, occurred, id): streaming by
//! customer needs no sort of the whole, and the import sorts anyway. Nothing here decides anything.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int32Builder, RecordBatch, StringBuilder,
    TimestampMillisecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow::error::ArrowError;
use nextbest_models::units::{Seed, Timestamp};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::SimulateError;
use super::campaign::{CAMPAIGNS, CHANNELS, OPTED_OUT};
use super::catalogue::{CATEGORIES, skus};
use super::elasticity::elasticities;
use super::life::{Life, treatment_id};
use super::market::Market;
use super::mood::{MOODS, State};
use super::traits::{AGES, COUNTRIES};
use super::truth::{HORIZONS_DAYS, Response};

/// A column in the making.
enum Column {
    Text(StringBuilder),
    Whole(Int32Builder),
    Real(Float64Builder),
    Flag(BooleanBuilder),
    Time(TimestampMillisecondBuilder),
}

/// A value of a row.
pub enum Cell {
    /// A text, or null.
    Text(Option<String>),
    /// A whole number, or null.
    Whole(Option<i32>),
    /// A number.
    Real(f64),
    /// True or false, or null.
    Flag(Option<bool>),
    /// An instant.
    Time(Timestamp),
}

impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}

impl From<usize> for Cell {
    fn from(value: usize) -> Self {
        Self::Whole(i32::try_from(value).ok())
    }
}

impl From<f64> for Cell {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl Column {
    fn new(cell: &Cell) -> Self {
        match cell {
            Cell::Text(_) => Self::Text(StringBuilder::new()),
            Cell::Whole(_) => Self::Whole(Int32Builder::new()),
            Cell::Real(_) => Self::Real(Float64Builder::new()),
            Cell::Flag(_) => Self::Flag(BooleanBuilder::new()),
            Cell::Time(_) => Self::Time(TimestampMillisecondBuilder::new().with_timezone("UTC")),
        }
    }

    fn push(&mut self, cell: Cell) {
        match (self, cell) {
            (Self::Text(column), Cell::Text(value)) => column.append_option(value),
            (Self::Whole(column), Cell::Whole(value)) => column.append_option(value),
            (Self::Real(column), Cell::Real(value)) => column.append_value(value),
            (Self::Flag(column), Cell::Flag(value)) => column.append_option(value),
            (Self::Time(column), Cell::Time(value)) => column.append_value(value.as_millis()),
            // Rows of one table are made by one function, so that their cells agree in kind.
            _ => debug_assert!(false, "a row does not fit its table"),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(column) => Arc::new(column.finish()),
            Self::Whole(column) => Arc::new(column.finish()),
            Self::Real(column) => Arc::new(column.finish()),
            Self::Flag(column) => Arc::new(column.finish()),
            Self::Time(column) => Arc::new(column.finish()),
        }
    }

    fn data_type(&self) -> DataType {
        match self {
            Self::Text(_) => DataType::Utf8,
            Self::Whole(_) => DataType::Int32,
            Self::Real(_) => DataType::Float64,
            Self::Flag(_) => DataType::Boolean,
            Self::Time(_) => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        }
    }
}

/// A row: names and cells.
pub type Row = Vec<(String, Cell)>;

/// A batch of `rows`; none if there are no rows.
pub fn batch(rows: impl IntoIterator<Item = Row>) -> Result<Option<RecordBatch>, ArrowError> {
    let mut columns: Vec<(String, Column)> = Vec::new();
    for row in rows {
        if columns.is_empty() {
            columns = row.iter().map(|(name, cell)| (name.clone(), Column::new(cell))).collect();
        }
        for ((_, column), (_, cell)) in columns.iter_mut().zip(row) {
            column.push(cell);
        }
    }
    if columns.is_empty() {
        return Ok(None);
    }
    let fields: Vec<Field> =
        columns.iter().map(|(name, column)| Field::new(name, column.data_type(), true)).collect();
    let arrays = columns.iter_mut().map(|(_, column)| column.finish()).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map(Some)
}

/// A Parquet file that is opened by its first batch.
pub struct Table {
    file: Option<File>,
    writer: Option<ArrowWriter<File>>,
    /// Rows written.
    pub n_rows: u64,
}

impl Table {
    /// A new file at `path`.
    pub fn create(path: &Path) -> std::io::Result<Self> {
        Ok(Self { file: Some(File::create_new(path)?), writer: None, n_rows: 0 })
    }

    /// Appends `batch`.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        if let Some(file) = self.file.take() {
            let level = ZstdLevel::try_new(1)?;
            let properties = WriterProperties::builder()
                .set_compression(Compression::ZSTD(level))
                .set_max_row_group_row_count(Some(1 << 17))
                .set_created_by(format!("nextbest {}", env!("CARGO_PKG_VERSION")))
                .build();
            self.writer = Some(ArrowWriter::try_new(file, batch.schema(), Some(properties))?);
        }
        if let Some(writer) = &mut self.writer {
            writer.write(batch)?;
            self.n_rows += batch.num_rows() as u64;
        }
        Ok(())
    }

    /// Ends the file and syncs it to disk.
    pub fn close(self) -> Result<(), ParquetError> {
        if let Some(writer) = self.writer {
            writer.into_inner()?.sync_all()?;
        }
        Ok(())
    }
}

fn named<const N: usize>(
    prefix: &str,
    names: [&str; N],
    cells: [f64; N],
) -> impl Iterator<Item = (String, Cell)> {
    let prefix = prefix.to_owned();
    names.into_iter().zip(cells).map(move |(name, cell)| (format!("{prefix}{name}"), cell.into()))
}

fn cell(name: &str, value: impl Into<Cell>) -> (String, Cell) {
    (name.to_owned(), value.into())
}

/// One row of `truth/customers.parquet`.
#[must_use]
pub fn customer_row(life: &Life) -> Row {
    let traits = &life.traits;
    let mut row = vec![
        cell("customer_id", life.customer.as_str()),
        cell("age_band", AGES[traits.age_band]),
        cell("country", COUNTRIES[traits.country]),
        cell("recorded_channel", CHANNELS[traits.recorded_channel]),
        cell("true_channel", CHANNELS[traits.true_channel]),
        cell("joined_day", Cell::Whole(Some(traits.joined))),
        cell("gone_day", Cell::Whole(life.gone.and_then(|day| i32::try_from(day).ok()))),
        cell("n_orders", life.orders.len()),
        cell("consent_at_joining", Cell::Flag(Some(traits.consent))),
        cell("visit_rate_per_day", traits.visit_rate),
        cell("stock_days", traits.stock_days),
        cell("frailty_per_day", traits.frailty),
        cell("trouble", traits.trouble),
        cell("loss_aversion", traits.loss_aversion),
        cell("extra_units", traits.extra_units),
        cell("temperament", traits.temperament.as_str()),
        cell("harm", traits.harm),
        cell("wear", traits.wear),
    ];
    row.extend(named("taste_", CATEGORIES.map(|category| category.name), traits.taste));
    row.extend(named("beta_", CATEGORIES.map(|category| category.name), traits.beta));
    row.extend(named("persuasion_", CAMPAIGNS.map(|campaign| campaign.id), traits.persuasion));
    row.extend(named("read_", CHANNELS, traits.read));
    row
}

/// The rows of `truth/states.parquet`.
pub fn state_rows(life: &Life, start: Timestamp) -> impl Iterator<Item = Row> {
    life.states.iter().map(move |record| {
        let as_of = start.plus_days(i32::try_from(record.age).unwrap_or(0));
        let mut row = vec![cell("customer_id", life.customer.as_str()), cell("as_of", Cell::Time(as_of))];
        row.extend(state_cells(record.state));
        for (horizon, (silent, orders)) in
            HORIZONS_DAYS.iter().zip(record.outlook.no_order.iter().zip(record.outlook.orders))
        {
            row.push(cell(&format!("p_no_order_{horizon}d"), *silent));
            row.push(cell(&format!("expected_orders_{horizon}d"), orders));
        }
        row.push(cell("p_order_7d", record.response.no_action));
        let gains = record.response.action.map(|p| p - record.response.no_action);
        row.extend(named("uplift_7d_", CAMPAIGNS.map(|campaign| campaign.id), gains));
        row
    })
}

/// The rows of `decisions.parquet`: what the legacy system logged of its decisions, those to do nothing included.
pub fn decision_rows(life: &Life) -> impl Iterator<Item = Row> {
    life.decisions.iter().map(|decision| {
        let traits = &life.traits;
        let arm = decision.action.zip(decision.channel);
        vec![
            cell("decision_id", decision.decision_id.as_str()),
            cell("customer_id", life.customer.as_str()),
            cell("decided_at", Cell::Time(decision.decided_at)),
            cell("action_id", decision.action.map_or("no_action", |action| CAMPAIGNS[action].action_id)),
            cell("campaign_type", decision.action.map_or("no_action", |action| CAMPAIGNS[action].id)),
            cell("treatment_id", Cell::Text(arm.map(|(action, channel)| treatment_id(action, channel)))),
            cell("channel", Cell::Text(decision.channel.map(|channel| CHANNELS[channel].to_owned()))),
            cell("choice_probability", decision.choice_probability),
            cell("action_probability", decision.action_probability),
            cell("age_band", AGES[traits.age_band]),
            cell("country", COUNTRIES[traits.country]),
            cell("preferred_channel", CHANNELS[traits.recorded_channel]),
            cell("ordered_7d", Cell::Flag(decision.ordered)),
        ]
    })
}

/// The rows of `truth/decisions.parquet`.
pub fn decision_truth_rows(life: &Life) -> impl Iterator<Item = Row> {
    life.decisions.iter().map(|decision| {
        let Response { no_action, action } = decision.response;
        let mut row = vec![cell("decision_id", decision.decision_id.as_str())];
        row.extend(state_cells(decision.state));
        row.push(cell("p_order_7d_chosen", decision.p_chosen));
        row.push(cell("p_order_7d_no_action", no_action));
        row.extend(named("p_order_7d_", CAMPAIGNS.map(|campaign| campaign.id), action));
        row
    })
}

fn state_cells(state: State) -> [(String, Cell); 4] {
    [
        cell("mood", MOODS[state.mood]),
        cell("stocked", Cell::Flag(Some(state.stock == 1))),
        cell("fatigue", state.fatigue.min(OPTED_OUT - 1)),
        cell("opted_out", Cell::Flag(Some(state.fatigue == OPTED_OUT))),
    ]
}

/// Writes `truth/skus.csv`: the catalogue and the true elasticities.
pub fn write_skus(path: &Path, seed: Seed) -> Result<(), SimulateError> {
    let failed = |source| SimulateError::Csv { path: path.to_owned(), source };
    let mut file = csv::Writer::from_path(path).map_err(failed)?;
    let header = ["sku", "category", "list_price_minor", "cost_minor"];
    let slopes = ["elasticity", "elasticity_below_list", "elasticity_above_list", "elasticity_cross"];
    file.write_record(header.iter().chain(&slopes)).map_err(failed)?;
    for (sku, slope) in skus().iter().zip(elasticities(seed)) {
        let slopes = [slope.own, slope.below_list, slope.above_list, slope.cross];
        let row = [sku.list_price_minor, sku.cost_minor].map(|minor| minor.to_string());
        let names = [sku.id.clone(), CATEGORIES[sku.category].name.to_owned()];
        let slopes = slopes.map(|slope| format!("{slope:.6}"));
        file.write_record(names.iter().chain(&row).chain(&slopes)).map_err(failed)?;
    }
    file.flush().map_err(|source| SimulateError::Io { path: path.to_owned(), source })
}

/// Writes `truth/prices.csv`: one row per SKU and week, past the log's end as far as the truth looks ahead.
pub fn write_prices(path: &Path, market: &Market) -> Result<(), SimulateError> {
    let failed = |source| SimulateError::Csv { path: path.to_owned(), source };
    let mut file = csv::Writer::from_path(path).map_err(failed)?;
    let header = ["sku", "first_day", "price_minor", "price_rule", "demand_shock", "reference_ratio"];
    file.write_record(header).map_err(failed)?;
    for (week, of_week) in market.weeks.iter().enumerate() {
        let first = market.start.plus(i32::try_from(week * 7).unwrap_or(0)).to_string();
        for (sku, offer) in market.skus.iter().zip(&of_week.offers) {
            let numbers = [offer.shock, offer.reference_ratio].map(|number| format!("{number:.6}"));
            let [shock, reference] = &numbers;
            let price = offer.price_minor.to_string();
            let row = [sku.id.as_str(), &first, &price, offer.rule.as_str(), shock, reference];
            file.write_record(row).map_err(failed)?;
        }
    }
    file.flush().map_err(|source| SimulateError::Io { path: path.to_owned(), source })
}
