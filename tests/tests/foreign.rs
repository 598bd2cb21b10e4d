//! Models of LightGBM and XGBoost, taken over: their own predictions and contributions on 10,000 rows with missing
//! values and categories no model saw (fixtures/foreign/generate.py made them with the libraries themselves).
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::fs;
use std::path::{Path, PathBuf};

use nextbest_models::artifact::Artifact;
use nextbest_models::table::{LabelValue, RowReader, TableSchema};
use nextbest_training::foreign::{ForeignError, ImportOptions, import};

/// XGBoost sums in 32 bits, which errs by up to 60 roundings of numbers near 1; a quarter of that, the greatest slope of
/// the logistic function, reaches the probability: 60 x 6e-8 / 4 = 9e-7.
const TOLERANCE: f64 = 1e-6;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/foreign")
}

fn options(features: Option<&[&str]>) -> ImportOptions {
    ImportOptions {
        name: "outcome".into(),
        label: LabelValue { column: "outcome".into(), value: "1".into() },
        key: Some("row".into()),
        features: features.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
    }
}

fn imported(file: &str, features: Option<&[&str]>) -> Result<Artifact, ForeignError> {
    import(&fs::read(fixtures().join(file)).unwrap(), &options(features))
}

/// The cells of rows.csv.gz, by header.
fn table(file: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let bytes = fs::read(fixtures().join(file)).unwrap();
    let mut text = String::new();
    let gzipped = Path::new(file).extension().is_some_and(|end| end == "gz");
    if gzipped {
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(bytes.as_slice()), &mut text)
            .unwrap();
    } else {
        text = String::from_utf8(bytes).unwrap();
    }
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    (lines.next().unwrap(), lines.collect())
}

/// The rows as `artifact` reads them.
fn rows(artifact: &Artifact, header: &[String], cells: &[Vec<String>]) -> Vec<Vec<f64>> {
    let schema: &TableSchema = artifact.metadata().table.as_ref().unwrap();
    let reader = RowReader::new(schema);
    let places: Vec<usize> = schema
        .columns
        .iter()
        .map(|column| header.iter().position(|name| *name == column.name).unwrap())
        .collect();
    let read = |row: &Vec<String>| {
        places
            .iter()
            .enumerate()
            .map(|(feature, &at)| reader.read(feature, &row[at]).unwrap().value())
            .collect()
    };
    cells.iter().map(read).collect()
}

fn largest_difference(file: &str, peer: &str, features: Option<&[&str]>) -> f64 {
    let artifact = imported(file, features).unwrap();
    let (header, cells) = table("rows.csv.gz");
    let model = artifact.propensities().next().unwrap();
    let expected = header.iter().position(|name| name == peer).unwrap();
    let scored = rows(&artifact, &header, &cells).into_iter().zip(&cells);
    scored
        .map(|(row, cells)| (model.score(&row).get() - cells[expected].parse::<f64>().unwrap()).abs())
        .fold(0.0, f64::max)
}

#[test]
fn lightgbm_predicts_the_same() {
    let difference = largest_difference("lightgbm.txt", "lightgbm", None);
    assert!(difference < TOLERANCE, "{difference}");
}

#[test]
fn xgboost_predicts_the_same_from_json_and_ubjson() {
    let difference = largest_difference("xgboost.json", "xgboost", None);
    assert!(difference < TOLERANCE, "{difference}");
    let json = imported("xgboost.json", None).unwrap();
    let names: Vec<&str> = json.feature_names().iter().map(String::as_str).collect();
    let binary = imported("xgboost.ubj", Some(&names)).unwrap();
    let scored = |artifact: &Artifact| -> Vec<u64> {
        let rows = json.golden_rows("outcome");
        let model = artifact.propensities().next().unwrap();
        rows.iter().map(|(row, _)| model.score(row).get().to_bits()).collect()
    };
    assert_eq!(scored(&json), scored(&binary), "the same trees in two formats");
}

#[test]
fn reasons_are_lightgbms_contributions() {
    let artifact = imported("lightgbm.txt", None).unwrap();
    let model = artifact.propensities().next().unwrap();
    let (header, cells) = table("rows.csv.gz");
    let (names, expected) = table("lightgbm-contributions.csv");
    assert_eq!(names[..names.len() - 1], *artifact.feature_names());
    for (row, expected) in rows(&artifact, &header, &cells[..expected.len()]).iter().zip(&expected) {
        let told = model.explain(row);
        let expected: Vec<f64> = expected.iter().map(|number| number.parse().unwrap()).collect();
        let of = |feature: usize| {
            told.contributions.iter().find(|c| c.feature == feature).map_or(0.0, |c| c.log_odds)
        };
        for (feature, expected) in expected[..expected.len() - 1].iter().enumerate() {
            assert!(
                (of(feature) - expected).abs() < TOLERANCE,
                "{}: {} {expected}",
                names[feature],
                of(feature)
            );
        }
        assert!((told.baseline - expected[expected.len() - 1]).abs() < TOLERANCE);
    }
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    let told = |file: &str| imported(file, None).unwrap_err().to_string();
    assert!(told("lightgbm-poisson.txt").contains("count:poisson"), "{}", told("lightgbm-poisson.txt"));
    assert!(told("lightgbm-rf.txt").contains("random forest"), "{}", told("lightgbm-rf.txt"));
    assert!(
        told("xgboost-regression.json").contains("reg:squarederror"),
        "{}",
        told("xgboost-regression.json")
    );
    let told = import(b"PK\x03\x04", &options(None)).unwrap_err().to_string();
    assert!(told.contains("neither a LightGBM"), "{told}");
    let told = imported("xgboost.json", Some(&["a", "b"])).unwrap_err().to_string();
    assert!(told.contains("2 names for the 5 features"), "{told}");
}

#[test]
fn a_damaged_file_is_an_error_or_another_model_but_no_panic() {
    for file in ["lightgbm.txt", "xgboost.json", "xgboost.ubj"] {
        let whole = fs::read(fixtures().join(file)).unwrap();
        // A prime stride reaches all kinds of places.
        for at in (0..whole.len()).step_by(9973) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x15;
            let _ = import(&damaged, &options(None));
            assert!(import(&whole[..at], &options(None)).is_err(), "{file} cut at {at}");
        }
    }
}
