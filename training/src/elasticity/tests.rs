//! Elasticities of real tables, and of made ones whose truth is known.

use std::path::PathBuf;

use nextbest_models::units::Seed;

use super::*;

mod coverage;
mod properties;
mod published;
mod refusals;

/// Log quantity on log price of `table` by least squares, nothing else known.
fn options(table: PathBuf, quantity: &str, price: &str) -> ElasticityOptions {
    ElasticityOptions {
        table,
        quantity: quantity.to_owned(),
        log_quantity: false,
        price: price.to_owned(),
        log_price: false,
        linear: false,
        by: Vec::new(),
        controls: Vec::new(),
        fixed_effects: Vec::new(),
        cluster: None,
        method: Method::Ols,
        drop_nonpositive: false,
        seed: Seed(1),
    }
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

/// A table `q,p,...` of `rows` under `header`, and the folder it lies in as long as it is wanted.
fn written(header: &str, rows: &[String]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    std::fs::write(&path, format!("{header}\n{}\n", rows.join("\n"))).unwrap();
    (folder, path)
}
