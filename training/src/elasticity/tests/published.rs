//! Figures that others published of tables anyone can get; skipped aloud where the tables are not there.

use super::*;
use crate::elasticity::choice::{ChoiceOptions, fit as fit_choice};

/// The path of a file of the optional data, or none, said aloud.
fn data(name: &str) -> Option<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = std::env::var_os("NEXTBEST_DATA").map_or_else(|| root.join("../shared/data"), PathBuf::from);
    let path = folder.join(name);
    if !path.exists() {
        eprintln!("SKIPPED: {} is not there (NEXTBEST_DATA)", path.display());
        return None;
    }
    Some(path)
}

/// Taddy (2019), Business Data Science, chapter on controls: log price with brand and advertising, fully interacted, which
/// is a regression of its own in each cell.
#[test]
fn orange_juice_by_brand_and_advertising() {
    let Some(table) = data("oj.csv.gz") else { return };
    let base = ElasticityOptions { log_quantity: true, ..options(table, "logmove", "price") };
    let cells = fit(&ElasticityOptions { by: names(&["brand", "feat"]), ..base.clone() }).unwrap();
    let published = [
        ("dominicks", "0", -2.77),
        ("dominicks", "1", -3.24),
        ("minute.maid", "0", -1.99),
        ("minute.maid", "1", -3.57),
        ("tropicana", "0", -2.04),
        ("tropicana", "1", -3.50),
    ];
    assert_eq!((cells.n_used, cells.groups.len()), (28_947, 6));
    for (group, (brand, feat, elasticity)) in cells.groups.iter().zip(published) {
        assert_eq!((group.group["brand"].as_str(), group.group["feat"].as_str()), (brand, feat));
        // Published to two decimals.
        assert!((group.elasticity.unwrap().value - elasticity).abs() < 0.005, "{group:?}");
    }
    let brands = fit(&ElasticityOptions { by: names(&["brand"]), ..base }).unwrap();
    #[expect(clippy::approx_constant, reason = "an estimate from a book, not pi")]
    let pooled = -3.14;
    assert!((brands.pooled.elasticity.unwrap().value - pooled).abs() < 0.005);
}

/// Store and week effects and what else is known of the stores, taken out by trees: no figure of others, but all stay
/// elastic, and no cell's interval is narrower than least squares, which takes rows of one store for strangers.
#[test]
#[ignore = "half a minute: 50 ensembles on 28,947 rows"]
fn orange_juice_by_double_machine_learning() {
    let Some(table) = data("oj.csv.gz") else { return };
    let base = ElasticityOptions {
        log_quantity: true,
        by: names(&["brand", "feat"]),
        ..options(table, "logmove", "price")
    };
    let plain = fit(&base).unwrap();
    let dml = ElasticityOptions {
        fixed_effects: names(&["store", "week"]),
        cluster: Some("store".to_owned()),
        method: Method::Dml,
        ..base
    };
    let dml = fit(&dml).unwrap();
    for (cell, plain) in dml.groups.iter().zip(&plain.groups) {
        let (own, shrunk, plain) =
            (cell.elasticity.unwrap(), cell.shrunk.unwrap(), plain.elasticity.unwrap());
        eprintln!("{:?}: ols {plain:.2?}, dml {own:.2?}, shrunk {shrunk:.2?}", cell.group);
        assert!(own.hi < -1.0 && own.se > plain.se && shrunk.se <= own.se, "{cell:?}");
    }
    assert!(dml.pooled.elasticity.unwrap().hi < -1.0);
}

/// Prices follow weekday, temperature and cost, and so do sales. The slope among rows is +1.23; with prices drawn evenly
/// from 3 to 10 it is -2.55. The curve is steep at low prices and flat at high ones, and the confounded set's prices lie
/// about 6 with a deviation of 1.2: the slope it can tell is that of the randomised rows weighted to its own prices
/// within weekday and cost, and in that slope's interval double machine learning must come to lie.
#[test]
fn ice_cream_is_told_from_confounded_prices() {
    let (Some(table), Some(random)) =
        (data("synthetic_ice_cream_sales.csv.gz"), data("synthetic_ice_cream_sales_rnd.csv.gz"))
    else {
        return;
    };
    let base = ElasticityOptions { linear: true, ..options(table.clone(), "sales", "price") };
    let slope = |options: &ElasticityOptions| fit(options).unwrap().pooled.slope.unwrap();
    let (naive, drawn) = (slope(&base), slope(&ElasticityOptions { table: random.clone(), ..base.clone() }));
    assert!((naive.value - 1.23).abs() < 0.005 && (drawn.value + 2.55).abs() < 0.005, "{naive:?} {drawn:?}");
    let controls = names(&["temp", "weekday", "cost"]);
    let lines = slope(&ElasticityOptions { controls: controls.clone(), ..base.clone() });
    assert!(lines.lo > 0.0, "weekdays on a line take the bias for an effect: {lines:?}");
    let told = slope(&ElasticityOptions { controls, method: Method::Dml, ..base });
    let truth = weighted_slope(&rows(&random), &rows(&table));
    eprintln!(
        "naive {naive:.2?}, lines {lines:.2?}, dml {told:.2?}, randomised {drawn:.2?}, weighted {truth:.2?}"
    );
    assert!(told.hi < 0.0 && truth.lo < told.value && told.value < truth.hi, "{told:?} {truth:?}");
}

/// (weekday, cost), price, sales.
type Sale = ((String, String), f64, f64);

fn rows(path: &std::path::Path) -> Vec<Sale> {
    let file = std::fs::File::open(path).unwrap();
    let mut reader = csv::Reader::from_reader(flate2::read::MultiGzDecoder::new(file));
    let row = |row: csv::StringRecord| {
        // temp, weekday, cost, price, sales
        ((row[1].to_owned(), row[2].to_owned()), row[3].parse().unwrap(), row[4].parse().unwrap())
    };
    reader.records().map(|record| row(record.unwrap())).collect()
}

/// The slope within cells among `random`, each row weighted by how many rows of `like` stand at its cell and whole price
/// for each of its own; robust standard error.
fn weighted_slope(random: &[Sale], like: &[Sale]) -> Interval {
    let counted = |rows: &[Sale]| {
        let mut counts: BTreeMap<((String, String), i64), f64> = BTreeMap::new();
        rows.iter().for_each(|row| *counts.entry((row.0.clone(), row.1.round() as i64)).or_default() += 1.0);
        counts
    };
    let (have, want) = (counted(random), counted(like));
    let weight = |row: &Sale| {
        let key = (row.0.clone(), row.1.round() as i64);
        want.get(&key).map_or(0.0, |want| want / have[&key])
    };
    let mut sums: BTreeMap<(String, String), [f64; 3]> = BTreeMap::new();
    for row in random {
        let (sums, w) = (sums.entry(row.0.clone()).or_default(), weight(row));
        *sums = [sums[0] + w, sums[1] + w * row.1, sums[2] + w * row.2];
    }
    let net = random.iter().map(|row| {
        let [n, x, y] = sums[&row.0];
        (weight(row), row.1 - x / n, row.2 - y / n)
    });
    let net: Vec<(f64, f64, f64)> = net.collect();
    let sxx: f64 = net.iter().map(|(w, x, _)| w * x * x).sum();
    let value = net.iter().map(|(w, x, y)| w * x * y).sum::<f64>() / sxx;
    let meat: f64 = net.iter().map(|(w, x, y)| (w * x * (y - value * x)).powi(2)).sum();
    Interval::of(value, meat.sqrt() / sxx, 1.96)
}

/// Croissant (2020), Estimation of random utility models in R, and the tables' own documentation.
#[test]
fn catsup_and_yogurt() {
    for (file, attributes, price, n) in [
        ("catsup_erim_choice.csv.gz", vec!["disp", "feat"], -1.402, 2_798),
        ("yogurt_erim_choice.csv.gz", vec!["feat"], -0.367, 2_412),
    ] {
        let Some(table) = data(file) else { return };
        let options = ChoiceOptions {
            table,
            choice: "choice".to_owned(),
            price: "price".to_owned(),
            attributes: names(&attributes),
            cluster: None,
        };
        let report = fit_choice(&options).unwrap();
        let clustered = fit_choice(&ChoiceOptions { cluster: Some("id".to_owned()), ..options }).unwrap();
        let found = report.price;
        eprintln!("{file}: {found:.4?}, log-likelihood {:.3}", report.log_likelihood);
        assert_eq!(report.n, n);
        // To three decimals.
        assert!((found.value - price).abs() < 5e-4, "{found:?}");
        // Households buy what they bought: their rows tell less than as many strangers'.
        assert!(clustered.price.se > found.se && clustered.price.value == found.value);
        for (own, row) in report.elasticities.iter().enumerate() {
            assert!(row[own] < 0.0 && row.iter().enumerate().all(|(at, e)| at == own || *e > 0.0), "{row:?}");
        }
    }
}
