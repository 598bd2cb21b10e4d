//! Real tables, where they are there: the figures others reach with the same learners on the same folds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::*;
use crate::dataset::Column;
use crate::demand::estimate::within_log_log;
use crate::learner;
use crate::metrics::auc;
use nextbest_models::customer::CustomerId;
use nextbest_models::units::Timestamp;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Header and rows of a gzipped CSV in the optional data folder; `None`, said aloud, where it is not there.
fn table(name: &str, separator: u8) -> Option<(Vec<String>, Vec<Vec<String>>)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = std::env::var_os("NEXTBEST_DATA").map_or_else(|| root.join("../shared/data"), PathBuf::from);
    let path = folder.join(name);
    let Ok(file) = std::fs::File::open(&path) else {
        eprintln!("SKIPPED: {} is not there (NEXTBEST_DATA)", path.display());
        return None;
    };
    let mut reader =
        csv::ReaderBuilder::new().delimiter(separator).from_reader(flate2::read::MultiGzDecoder::new(file));
    let header = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let rows = reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
    Some((header, rows))
}

/// A column is a quantity if all its cells that are not blank are numbers, else codes by sorted text.
fn dataset(header: &[String], rows: &[Vec<String>], label: (&str, &str), drop: &[&str]) -> Dataset {
    let at = header.iter().position(|name| name == label.0).unwrap();
    let used: Vec<usize> = (0..header.len())
        .filter(|&column| column != at && !drop.contains(&header[column].as_str()))
        .collect();
    let mut columns = Vec::new();
    let mut codes: Vec<Option<BTreeMap<&str, usize>>> = Vec::new();
    for &column in &used {
        let cells = || rows.iter().map(|row| row[column].trim()).filter(|cell| !cell.is_empty());
        if cells().all(|cell| cell.parse::<f64>().is_ok()) {
            columns.push(Column::numeric(&header[column]));
            codes.push(None);
        } else {
            columns.push(Column::code(&header[column]));
            let distinct: BTreeSet<&str> = cells().collect();
            codes.push(Some(distinct.into_iter().enumerate().map(|(code, text)| (text, code)).collect()));
        }
    }
    let mut set = Dataset::new(columns, vec!["label".into()]).unwrap();
    for (number, row) in rows.iter().enumerate() {
        let feature = |(&column, codes): (&usize, &Option<BTreeMap<&str, usize>>)| match codes {
            Some(codes) => codes.get(row[column].trim()).map_or(f64::NAN, |&code| code as f64),
            None => row[column].trim().parse().unwrap_or(f64::NAN),
        };
        let features: Vec<f64> = used.iter().zip(&codes).map(feature).collect();
        let id = CustomerId::new(number.to_string()).unwrap();
        set.push(id, Timestamp::from_millis(0).unwrap(), &features, &[Some(row[at] == label.1)]).unwrap();
    }
    set
}

/// Out-of-fold AUC over shuffled five folds, by learner name; the standard error is DeLong's.
fn cross_validated(set: &Dataset, seed: u64) -> BTreeMap<&'static str, Estimate> {
    let all = set.labelled("label").unwrap();
    let mut order: Vec<usize> = (0..all.rows.len()).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let pick = |rows: &mut dyn Iterator<Item = usize>| {
        let (rows, outcomes) = rows.map(|at| (all.rows[at], all.outcomes[at])).unzip();
        Labelled { rows, outcomes }
    };
    let mut found = BTreeMap::new();
    for learner in learner::all() {
        let (mut scores, mut outcomes) = (Vec::new(), Vec::new());
        for fold in 0..5 {
            let fit =
                pick(&mut order.iter().enumerate().filter(|(at, _)| at % 5 != fold).map(|(_, &row)| row));
            let out =
                pick(&mut order.iter().enumerate().filter(|(at, _)| at % 5 == fold).map(|(_, &row)| row));
            let sample = Sample::checked(set, fit, "fit", "label").unwrap();
            let fitted = learner.fit(&sample.thinned(learner.max_rows(), Seed(1)), Seed(1)).unwrap();
            let rows: Vec<&[f64]> = out.rows.iter().map(|&row| set.row(row)).collect();
            scores.extend(fitted.margins(&rows).unwrap());
            outcomes.extend(out.outcomes);
        }
        found.insert(learner.name(), auc(&scores, &outcomes).unwrap());
    }
    found
}

/// Two AUCs of the same learner on the same rows under other folds differ by fold noise, well below the sampling
/// error of the AUC itself: two of its standard errors are allowed.
fn near(found: Estimate, published: f64) -> bool {
    (found.value - published).abs() < 2.0 * found.se
}

#[test]
fn telco_churn_reaches_the_known_figures() {
    let Some((header, rows)) = table("telco_churn.csv.gz", b',') else { return };
    let set = dataset(&header, &rows, ("Churn", "Yes"), &["customerID"]);
    let found = cross_validated(&set, 1);
    assert!(near(found["linfa_logistic"], 0.845), "{found:?}");
    assert!(near(found["smartcore_forest"], 0.845), "{found:?}");
}

#[test]
fn bank_marketing_reaches_the_known_figures() {
    let Some((header, rows)) = table("bank_marketing_full.csv.gz", b',') else { return };
    let set = dataset(&header, &rows, ("y", "yes"), &["duration"]);
    let found = cross_validated(&set, 1);
    assert!(near(found["linfa_logistic"], 0.7708), "{found:?}");
    assert!(near(found["smartcore_forest"], 0.790), "{found:?}");
}

#[test]
fn orange_juice_gives_the_published_pooled_elasticity() {
    let Some((header, rows)) = table("oj.csv.gz", b',') else { return };
    let at = |name: &str| header.iter().position(|column| column == name).unwrap();
    let (brand, price, units) = (at("brand"), at("price"), at("logmove"));
    let brands: BTreeSet<&str> = rows.iter().map(|row| row[brand].as_str()).collect();
    let brands: Vec<&str> = brands.into_iter().collect();
    let number = |text: &str| text.parse::<f64>().unwrap();
    let cells: Vec<(usize, f64, f64)> = rows
        .iter()
        .map(|row| {
            let group = brands.iter().position(|name| *name == row[brand]).unwrap();
            (group, number(&row[price]).ln(), number(&row[units]))
        })
        .collect();
    // Published to two decimals: -3.14.
    #[expect(clippy::approx_constant, reason = "an estimate from a book, not pi")]
    let published = -3.14;
    assert!((within_log_log(&cells).unwrap().value - published).abs() < 0.005);
}
