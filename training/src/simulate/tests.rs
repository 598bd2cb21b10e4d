//! The simulation's files and events held against what is promised of them; what was lived against what was
//! foretold stands in `foretold`, prices and seasons in `demand`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use nextbest_models::event::{Event, EventType};
use nextbest_models::units::{Currency, DAY_MS, Seed};

use rayon::prelude::*;

use super::life::Life;
use super::writing::BLOCK;
use super::*;
use crate::event_log::columns::{from_batch, to_batch};

mod demand;
mod foretold;
mod saving;

pub(super) fn options(n_customers: u64, days: i32, seed: u64) -> Options {
    Options::new(n_customers, days, Seed(seed), DEFAULT_START.parse().unwrap()).unwrap()
}

pub(super) fn gbp() -> Currency {
    "GBP".parse().unwrap()
}

/// A shop of a year, and the lives of its first customers.
pub(super) fn year(n_customers: u64, seed: u64) -> (Shop, Vec<Life>) {
    let shop = Shop::new(&options(n_customers, 365, seed), gbp());
    let lives = (0..n_customers).into_par_iter().map(|number| shop.customer(number).unwrap()).collect();
    (shop, lives)
}

fn written(n_customers: u64, n_threads: usize, seed: u64) -> (tempfile::TempDir, Summary) {
    let dir = tempfile::tempdir().unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
    let out = dir.path().join("shop");
    let make = || write(&options(n_customers, 150, seed), gbp(), &out, false, &|_| {}).unwrap();
    let summary = pool.install(make);
    (dir, summary)
}

fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for folder in [dir.join("shop"), dir.join("shop/truth")] {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                let path = entry.path().strip_prefix(dir).unwrap().to_owned();
                files.insert(path, fs::read(entry.path()).unwrap());
            }
        }
    }
    files
}

fn events(dir: &Path) -> Vec<Event> {
    let file = fs::File::open(dir.join("shop/events.parquet")).unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    reader.build().unwrap().flat_map(|batch| from_batch(&batch.unwrap()).unwrap()).collect()
}

#[test]
fn same_seed_same_bytes_on_any_number_of_threads() {
    // More than one round of blocks, so that their order could go wrong.
    let n_customers = BLOCK * 3 + 17;
    let (one, summary) = written(n_customers, 1, 11);
    let (three, again) = written(n_customers, 3, 11);
    assert_eq!(summary, again);
    let (one, three) = (contents(one.path()), contents(three.path()));
    assert_eq!(one.len(), 8);
    for (path, bytes) in &one {
        assert!(three[path] == *bytes, "{} differs", path.display());
    }
    let (other, _) = written(n_customers, 3, 12);
    let path = Path::new("shop/events.parquet");
    assert!(contents(other.path())[path] != one[path]);
}

#[test]
fn a_customer_lives_the_same_life_among_few_and_among_many() {
    let (few, summary) = written(20, 2, 5);
    let (many, _) = written(200, 2, 5);
    let (few, many) = (events(few.path()), events(many.path()));
    assert_eq!(few.len() as u64, summary.counts.n_events);
    assert!(many.len() > 5 * few.len());
    assert_eq!(few, many[..few.len()]);
}

#[test]
fn every_event_is_what_the_door_lets_in() {
    let (shop, lives) = year(300, 2);
    let end = shop.frame.start.plus_days(365);
    let events: Vec<Event> = lives.into_iter().flat_map(|life| life.entries.events).collect();
    // Reading checks every bound of an event.
    assert_eq!(from_batch(&to_batch(&events).unwrap()).unwrap(), events);
    for event in &events {
        let json = serde_json::to_string(event).unwrap();
        let lag = event.known().as_millis() - event.occurred_at.as_millis();
        assert!(event.known() < end && event.occurred_at >= shop.frame.start, "{json}");
        // Lateness of a first delivery is below seven days; a second one may add two hours.
        assert!((0..7 * DAY_MS + 2 * journal::HOUR_MS).contains(&lag), "{json}");
    }
}

#[test]
fn ids_are_unique_but_for_second_deliveries() {
    let (_, lives) = year(2_000, 2);
    let mut seen = BTreeSet::new();
    let (mut n, mut n_again, mut stated) = (0.0, 0.0, 0);
    for life in &lives {
        stated += life.entries.n_duplicates;
        for event in &life.entries.events {
            n += 1.0;
            n_again += f64::from(u8::from(!seen.insert(&event.event_id)));
        }
    }
    assert!((n_again - stated as f64).abs() < 0.5, "{n_again} against {stated}");
    // Binomial: standard deviation sqrt(n p (1 - p)); a few near the end are lost, far less than one of it.
    let (p, n) = (journal::DUPLICATE_RATE, n - n_again);
    assert!((n_again - n * p).abs() < 4.0 * (n * p * (1.0 - p)).sqrt(), "{n_again} of {n}");
}

#[test]
fn revisions_take_back_no_more_than_was_bought() {
    let (_, lives) = year(1_000, 3);
    let all: Vec<&Event> = lives.iter().flat_map(|life| &life.entries.events).collect();
    let orders: BTreeMap<&str, &Event> = all
        .iter()
        .filter(|event| event.event_type == EventType::OrderPlaced)
        .map(|&event| (event.event_id.as_str(), event))
        .collect();
    let mut n = 0;
    for event in all.iter().filter(|event| event.event_type.is_revision()) {
        let reference = event.refers_to.as_ref().unwrap();
        let order = orders[reference.event_id.as_str()];
        assert_eq!(order.occurred_at, reference.occurred_at);
        assert!(order.known() < event.known() && order.sku == event.sku);
        assert!(event.quantity <= order.quantity && event.quantity > Some(0));
        assert_eq!(reference.whole, event.quantity == order.quantity);
        let unit = order.value.unwrap().amount_minor / order.quantity.unwrap();
        assert_eq!(event.value.unwrap().amount_minor, unit * event.quantity.unwrap());
        n += 1;
    }
    assert!(n > 100, "only {n} revisions to look at");
}

#[test]
fn visitors_become_customers() {
    let (_, lives) = year(500, 4);
    let mut n_linked = 0;
    for life in &lives {
        let events = &life.entries.events;
        let identified: Vec<_> = events.iter().filter(|e| e.event_type == EventType::Identified).collect();
        if life.traits.joined >= 0 {
            assert!(identified.iter().all(|e| e.customer_id.as_ref() == Some(&life.customer)));
            let ids: BTreeSet<_> = identified.iter().map(|e| &e.anonymous_id).collect();
            assert_eq!(ids.len(), 1, "{}", life.customer);
            n_linked +=
                events.iter().filter(|e| e.customer_id.is_none() && ids.contains(&e.anonymous_id)).count();
        } else {
            assert!(identified.is_empty());
        }
    }
    assert!(n_linked > 300, "only {n_linked} anonymous events are linked");
}

#[test]
fn options_out_of_bounds_are_named() {
    let start = DEFAULT_START.parse().unwrap();
    let told = |n, days, start| Options::new(n, days, Seed(1), start).unwrap_err().to_string();
    assert_eq!(told(0, 365, start), "customers is 0, must be 1 ..= 10000000");
    assert_eq!(told(MAX_CUSTOMERS + 1, 365, start), "customers is 10000001, must be 1 ..= 10000000");
    assert_eq!(told(1, 29, start), "days is 29, must be 30 ..= 3650");
    assert_eq!(told(1, 3651, start), "days is 3651, must be 30 ..= 3650");
    assert!(told(1, 30, start.plus_millis(1)).contains("must be midnight UTC"));
}

#[test]
fn a_folder_is_whole_or_untouched() {
    let (dir, _) = written(5, 1, 1);
    let out = dir.path().join("shop");
    let before = contents(dir.path());
    let again = |force| write(&options(6, 40, 2), gbp(), &out, force, &|_| {});
    assert!(matches!(again(false), Err(SimulateError::NotEmpty(_))));
    assert_eq!(contents(dir.path()), before);
    again(true).unwrap();
    assert_ne!(contents(dir.path()), before);
    // Nothing is left beside it.
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    fs::remove_file(out.join("simulation.json")).unwrap();
    assert!(matches!(again(true), Err(SimulateError::NotASimulation(_))));
    assert!(out.join("events.parquet").exists());
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    let error = write(&options(6, 40, 2), gbp(), &file, true, &|_| {}).unwrap_err();
    assert!(error.to_string().contains("file"), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn the_shortest_log_and_the_smallest_shop_work() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("deep/shop");
    let summary = write(&options(1, 30, 9), gbp(), &out, false, &|_| {}).unwrap();
    assert_eq!(summary.truth_as_of, [summary.end]);
    assert!(out.join("truth/states.parquet").exists());
}
