//! Online Retail through examples/retail: every row in one bucket, the published figures, and the log they make.
//!
//! Needs `$NEXTBEST_DATA/online_retail.csv.gz` (default `../shared/data`); without it the tests say that they are
//! skipped. The figures were counted independently from the file by a script of a few lines of Python.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::path::Path;

use nextbest_models::event::{Event, EventType};
use nextbest_models::project::Settings;
use nextbest_tests::data;
use nextbest_training::event_log::EventLog;
use nextbest_training::import::report::ImportReport;
use nextbest_training::import::{Options, Rules, import};

const N_ROWS: u64 = 541_909;

fn settings() -> Settings {
    let text = std::fs::read_to_string(data::root().join("examples/retail/nextbest.toml")).unwrap();
    Settings::parse(&text).unwrap()
}

fn import_retail(file: &Path, log_dir: &Path, options: &Options) -> ImportReport {
    let settings = settings();
    let files = [file.to_owned()];
    import(Rules::from(&settings), &files, log_dir, options, &|_| ControlFlow::Continue(())).unwrap()
}

#[test]
fn every_row_ends_in_one_bucket_and_the_published_figures_are_there() {
    let Some(file) = data::file("online_retail.csv.gz") else { return };
    let dir = tempfile::tempdir().unwrap();
    let report = import_retail(&file, &dir.path().join("events"), &Options::default());

    assert_eq!(report.n_rows, N_ROWS);
    assert_eq!(report.buckets.iter().map(|bucket| bucket.n_rows).sum::<u64>(), N_ROWS);
    assert_eq!(report.bucket("rejected"), 0, "{:?}", report.faults.first());

    // As others publish them, overlapping.
    assert_eq!(report.condition("cancellation"), 9_288);
    assert_eq!(report.condition("price_not_positive"), 2_517);
    assert_eq!(report.condition("without_customer"), 135_080);
    assert_eq!(report.bucket("duplicate"), 5_268);

    // The exclusive buckets: duplicates first, then the set-aside rules in their order, then what is left.
    let expected = [
        ("event", 391_153),
        ("event_without_customer", 131_418),
        ("cancellation_matched", 7_358),
        ("cancellation_split", 41),
        ("cancellation_partly_matched", 56),
        ("cancellation_unmatched", 1_051),
        ("cancellation_without_customer", 162),
        ("set_aside_price_not_positive", 2_512),
        ("set_aside_stock_adjustment", 0), // all 1,336 have no price either, and that rule stands first
        ("set_aside_not_a_product", 2_890),
        ("duplicate", 5_268),
        ("conflicting_duplicate", 0),
        ("rejected", 0),
    ];
    let found: Vec<(&str, u64)> =
        report.buckets.iter().map(|bucket| (bucket.name.as_str(), bucket.n_rows)).collect();
    assert_eq!(found, expected);
    assert_eq!(report.condition("stock_adjustment"), 1_336);
    let counts = &report.cancellations;
    assert_eq!((counts.n_revisions, counts.n_whole, counts.n_other_price), (7_515, 2_727, 332));

    let log = report.log.unwrap();
    assert_eq!(log.n_events, 391_153 + 131_418 + 7_515);
    assert_eq!((log.n_anonymous, log.n_customers), (131_418, 4_334));
    assert_eq!(log.first_occurred_at.unwrap().to_string(), "2010-12-01T08:26:00Z");
    assert_eq!(log.last_occurred_at.unwrap().to_string(), "2011-12-09T12:50:00Z");
}

#[test]
fn every_revision_takes_back_what_its_customer_had_ordered_and_no_more() {
    let Some(file) = data::file("online_retail.csv.gz") else { return };
    let dir = tempfile::tempdir().unwrap();
    import_retail(&file, &dir.path().join("events"), &Options::default());
    let log = EventLog::open(dir.path().join("events")).unwrap();
    let mut n_revisions = 0;
    for bucket in 0..log.n_buckets() {
        for group in log.customers(bucket).unwrap() {
            let (id, events) = group.unwrap();
            assert_eq!(id.bucket(log.n_buckets()), bucket);
            n_revisions += check_customer(&events);
        }
        assert!(log.anonymous(bucket).unwrap().all(|event| event.unwrap().customer_id.is_none()));
    }
    assert_eq!(n_revisions, 7_515);
}

/// Checks the events of one customer; how many of them are revisions.
fn check_customer(events: &[Event]) -> usize {
    assert!(events.windows(2).all(|pair| pair[0].known() <= pair[1].known()));
    let ids: HashSet<&str> = events.iter().map(|event| event.event_id.as_str()).collect();
    assert_eq!(ids.len(), events.len());
    let mut left: HashMap<&str, (&Event, i64, i64)> = HashMap::new();
    for order in events.iter().filter(|event| event.event_type == EventType::OrderPlaced) {
        assert!(order.quantity.unwrap() > 0);
        left.insert(&order.event_id, (order, order.quantity.unwrap(), order.value.unwrap().amount_minor));
    }
    let revisions: Vec<&Event> =
        events.iter().filter(|event| event.event_type == EventType::OrderCancelled).collect();
    for revision in &revisions {
        let reference = revision.refers_to.as_ref().unwrap();
        let (order, quantity, value) = left.get_mut(reference.event_id.as_str()).unwrap();
        assert_eq!((&order.sku, order.occurred_at), (&revision.sku, reference.occurred_at));
        assert!(order.occurred_at <= revision.occurred_at);
        *quantity -= revision.quantity.unwrap();
        *value -= revision.value.unwrap().amount_minor;
        assert!(*quantity >= 0 && *value >= 0, "{} takes back more than there is", revision.event_id);
    }
    let n_whole = |revision: &&&Event| revision.refers_to.as_ref().unwrap().whole;
    let n_emptied = left.values().filter(|(_, quantity, _)| *quantity == 0).count();
    assert_eq!(revisions.iter().filter(n_whole).count(), n_emptied);
    revisions.len()
}

#[test]
fn two_mebibytes_of_memory_give_the_same_bytes() {
    let Some(file) = data::file("online_retail.csv.gz") else { return };
    let dir = tempfile::tempdir().unwrap();
    let (wide, narrow) = (dir.path().join("wide"), dir.path().join("narrow"));
    import_retail(&file, &wide, &Options::default());
    import_retail(&file, &narrow, &Options { memory_bytes: 2 << 20, ..Options::default() });
    for entry in std::fs::read_dir(&wide).unwrap() {
        let name = entry.unwrap().file_name();
        let same = std::fs::read(wide.join(&name)).unwrap() == std::fs::read(narrow.join(&name)).unwrap();
        assert!(same, "{name:?}");
    }
}
