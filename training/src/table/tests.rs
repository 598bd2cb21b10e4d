//! From files of every kind to a sealed model and scores: the same rows give the same bytes, and no file panics.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray};
use nextbest_models::artifact::{Artifact, ArtifactError};
use nextbest_models::table::{CellKind, LabelValue, LeftOut, TimeForm};
use nextbest_models::units::Seed;
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;

use super::*;
use crate::learner::{self, Learner};

/// 1,500 rows as Parquet has them: whole and fractional numbers, flags, dates, texts, each with gaps.
fn batch() -> RecordBatch {
    let n = 1_500_u32;
    let draw = |row: u32, salt: u64| distinct::mixed(u64::from(row) * 8 + salt);
    let gap = |row: u32, salt: u64| draw(row, salt) % 20 == 0;
    let age = |row: u32| 20 + i64::try_from(draw(row, 1) % 50).unwrap();
    let left = |row: u32| i64::try_from(draw(row, 2) % 70).unwrap() < age(row);
    let columns: [(&str, ArrayRef); 7] = [
        ("id", Arc::new((0..n).map(|row| Some(format!("C{row}"))).collect::<StringArray>())),
        ("age", Arc::new((0..n).map(|row| (!gap(row, 3)).then(|| age(row))).collect::<Int64Array>())),
        (
            "spend",
            Arc::new(
                (0..n)
                    .map(|row| (!gap(row, 4)).then(|| draw(row, 5) as f64 / 3e16))
                    .collect::<Float64Array>(),
            ),
        ),
        (
            "member",
            Arc::new(
                (0..n).map(|row| (!gap(row, 6)).then(|| draw(row, 7) % 3 == 0)).collect::<BooleanArray>(),
            ),
        ),
        (
            "since",
            Arc::new(
                (0..n)
                    .map(|row| (!gap(row, 8)).then_some(14_000 + (row * 7 % 2_000) as i32))
                    .collect::<Date32Array>(),
            ),
        ),
        (
            "plan",
            Arc::new(
                (0..n)
                    .map(|row| (!gap(row, 9)).then_some(["a, b", "c \"d\"", "e"][row as usize % 3]))
                    .collect::<StringArray>(),
            ),
        ),
        ("left", Arc::new((0..n).map(|row| (row % 90 != 0).then(|| left(row))).collect::<BooleanArray>())),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

/// The same rows as Parquet, as CSV, and as packed CSV.
fn files() -> (tempfile::TempDir, [PathBuf; 3]) {
    let dir = tempfile::tempdir().unwrap();
    let paths = ["t.parquet", "t.csv", "t.csv.gz"].map(|name| dir.path().join(name));
    let batch = batch();
    let mut parquet =
        ArrowWriter::try_new(std::fs::File::create(&paths[0]).unwrap(), batch.schema(), None).unwrap();
    parquet.write(&batch).unwrap();
    parquet.close().unwrap();
    let mut text = Vec::new();
    arrow::csv::Writer::new(&mut text).write(&batch).unwrap();
    std::fs::write(&paths[1], &text).unwrap();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&text).unwrap();
    std::fs::write(&paths[2], packed.finish().unwrap()).unwrap();
    (dir, paths)
}

fn options(table: &Path) -> FitOptions {
    FitOptions {
        table: table.to_owned(),
        name: "left".into(),
        key: Some("id".into()),
        label: LabelValue { column: "left".into(), value: "true".into() },
        drop: vec![],
        keep: vec![],
        category: vec![],
        missing: vec![],
        weight_column: None,
        time_column: None,
        fold_column: None,
        group_column: None,
        monotone: learner::Monotone::new(),
        seed: Seed(3),
    }
}

fn scored(artifact: &Artifact, table: &Path) -> Result<(Vec<u8>, ScoreReport), TableError> {
    let mut out = Vec::new();
    let options = ScoreOptions { table: table.to_owned(), key: None, n_reasons: 2 };
    let report = score(artifact, &options, &mut out, &|_| {})?;
    Ok((out, report))
}

/// One learner is enough here, and quick.
fn simplest(monotone: &learner::Monotone) -> Vec<Box<dyn Learner>> {
    learner::constrained(monotone).into_iter().take(1).collect()
}

/// A model of [`batch`], made once.
fn fitted() -> &'static Fit {
    static FIT: OnceLock<Fit> = OnceLock::new();
    FIT.get_or_init(|| {
        let (_dir, [parquet, ..]) = files();
        fit(&options(&parquet), &simplest, &|_| {}).unwrap()
    })
}

#[test]
fn what_is_sealed_is_diagnosed_with_the_texts_of_the_table() {
    let fitted = fitted();
    let found = fitted.report.propensity.diagnostics.as_ref().unwrap();
    assert_eq!(found.card.artifact_sha256, fitted.artifact.sha256());
    assert_eq!(found.card.sources["table"], fitted.report.table_sha256);
    assert_eq!(found.deciles.iter().map(|decile| decile.n).sum::<usize>(), fitted.predictions.len());
    let mut levels: Vec<&str> =
        found.segments.iter().filter(|one| one.feature == "plan").map(|one| one.level.as_str()).collect();
    levels.sort_unstable();
    assert_eq!(levels, ["a, b", "c \"d\"", "e", "missing"]);
    let member = found.segments.iter().find(|one| one.feature == "member").unwrap();
    assert_eq!(member.level, "false");
}

#[test]
fn every_format_gives_the_same_schema_and_the_same_scores() {
    let (_dir, paths) = files();
    let own = fitted();
    let table = own.artifact.metadata().table.clone().unwrap();
    let kinds: Vec<(&str, &CellKind)> = table.columns.iter().map(|c| (c.name.as_str(), &c.kind)).collect();
    let boolean = CellKind::Boolean { yes: "true".into(), no: "false".into() };
    let levels = ["e", "a, b", "c \"d\""].map(str::to_owned);
    assert_eq!(
        kinds[..4],
        [
            ("age", &CellKind::Number),
            ("spend", &CellKind::Number),
            ("member", &boolean),
            ("since", &CellKind::Time(TimeForm::Iso))
        ]
    );
    assert!(
        matches!(kinds[4].1, CellKind::Category { levels: found, other: false } if levels.iter().all(|level| found.contains(level)))
    );
    assert_eq!(table.left_out, [("id".to_owned(), LeftOut::Key), ("left".to_owned(), LeftOut::Label)]);
    assert_eq!((own.report.n_rows, own.report.n_unlabelled), (1_500, 17));
    for path in &paths[1..] {
        let other = fit(&options(path), &simplest, &|_| {}).unwrap();
        assert_eq!(other.artifact.metadata().table.as_ref(), Some(&table), "{}", path.display());
    }
    let scores = paths.each_ref().map(|path| scored(&own.artifact, path).unwrap());
    assert_eq!(scores[0].1.n_rows, 1_500);
    assert!(scores[0] == scores[1] && scores[1] == scores[2]);
}

#[test]
fn a_row_scores_as_the_numbers_it_was_fitted_with() {
    let (_dir, [_, csv, _]) = files();
    let Fit { artifact, .. } = fitted();
    artifact.check_golden().unwrap();
    let (out, report) = scored(artifact, &csv).unwrap();
    let mut reader = csv::Reader::from_reader(out.as_slice());
    let scores: Vec<f64> = reader.records().map(|row| row.unwrap()[1].parse().unwrap()).collect();
    let model = artifact.propensity("left").unwrap();
    let golden = artifact.golden_rows("left");
    let is_there = |row: &[f64]| scores.contains(&model.score(row).get());
    assert!(golden.len() > 20 && golden.iter().all(|(row, _)| is_there(row)));
    assert_eq!(report.mean_probability, Some(scores.iter().sum::<f64>() / 1_500.0));
}

#[test]
fn weights_reach_the_training_set() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv");
    let rows: Vec<String> = (0..1_000).map(|row| format!("{}.5,{},{}", row % 41, row % 3, row % 2)).collect();
    std::fs::write(&path, format!("x,w,y\n{}\n", rows.join("\n"))).unwrap();
    let mut options = FitOptions { key: None, weight_column: Some("w".into()), ..options(&path) };
    options.label = LabelValue { column: "y".into(), value: "1".into() };
    let seen: Arc<OnceLock<Vec<f64>>> = Arc::default();
    let learners =
        |_: &learner::Monotone| -> Vec<Box<dyn Learner>> { vec![Box::new(Witness(Arc::clone(&seen)))] };
    let _refused = fit(&options, &learners, &|_| {}).unwrap_err();
    let expected: Vec<f64> = (0..1_000).map(|row| f64::from(row % 3)).collect();
    assert_eq!(seen.get(), Some(&expected));
}

/// Looks at the weights and learns nothing.
struct Witness(Arc<OnceLock<Vec<f64>>>);

impl Learner for Witness {
    fn name(&self) -> &'static str {
        "witness"
    }

    fn max_rows(&self) -> usize {
        usize::MAX
    }

    fn fit(
        &self,
        sample: &learner::Sample<'_>,
        _seed: Seed,
    ) -> Result<Box<dyn learner::Fitted>, learner::LearnError> {
        self.0.get_or_init(|| sample.dataset().weights().unwrap_or_default().to_vec());
        Err(learner::LearnError::Weights("witness"))
    }
}

#[test]
fn an_artifact_of_a_table_is_no_project_s() {
    let bytes = fitted().artifact.as_bytes().to_vec();
    let error = Artifact::from_bytes(bytes.clone(), Some(&"ab".repeat(32))).unwrap_err();
    assert_eq!(error, ArtifactError::OfTable);
    assert!(Artifact::from_bytes(bytes, Some(&fitted().report.schema_fingerprint)).is_ok());
}

/// Cells that have made other readers stumble.
const NASTY: [&str; 28] = [
    "",
    "0",
    "1",
    "-1.5",
    "1e308",
    "1e999",
    "nan",
    "inf",
    "NA",
    "?",
    "-",
    "None",
    "yes",
    "no",
    "true",
    "2026-01-31",
    "31/01/2026",
    "01/02/2026",
    "2026-02-30T25:61",
    "$1,234.50",
    "12 %",
    "a b c d e f",
    "\u{fffd}",
    "\u{1f980}",
    "\"\"",
    "0x10",
    "9223372036854775808",
    "x",
];

/// A table of nasty cells with both outcomes often enough to come as far as the learners.
fn nasty() -> impl Strategy<Value = String> {
    let column = prop::collection::vec(0..NASTY.len(), 1..4);
    prop::collection::vec((column, 1..140_usize), 1..5).prop_map(|columns| {
        let header: Vec<String> = (0..columns.len()).map(|at| format!("c{at}")).collect();
        let mut text = format!("{},y\n", header.join(","));
        for row in 0..140_usize {
            for (cells, period) in &columns {
                let at = if row % period == 0 { 0 } else { row * 31 % cells.len() };
                text += &format!("\"{}\",", NASTY[cells[at]].replace('"', ""));
            }
            text += if row % 2 == 0 { "yes\n" } else { "no\n" };
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Bytes of any kind are a table or a fault, in fitting and in scoring, and never a panic.
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(prop_oneof![
        Just(b','), Just(b'\n'), Just(b'"'), Just(b'1'), Just(b'y'), Just(b';'), any::<u8>(),
    ], 0..300)) {
        let dir = tempfile::tempdir().unwrap();
        for name in ["t.csv", "t.csv.gz", "t.parquet"] {
            let path = dir.path().join(name);
            std::fs::write(&path, &bytes).unwrap();
            let options = FitOptions { key: None, ..options(&path) };
            let refused = fit(&options, &|_| vec![], &|_| {}).is_err();
            prop_assert!(refused);
            let _ = scored(&fitted().artifact, &path);
        }
    }

    /// So are cells of any kind under a good header; what comes as far as the learners has a schema that reads it.
    #[test]
    fn nasty_cells_never_panic(text in nasty()) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.csv");
        std::fs::write(&path, text).unwrap();
        let mut options = FitOptions { key: None, ..options(&path) };
        options.label = LabelValue { column: "y".into(), value: "yes".into() };
        // No learner: every fit ends in an error, at the latest where one would be called.
        let refused = fit(&options, &|_| vec![], &|_| {}).is_err();
        prop_assert!(refused);
    }

    /// A good row with one cell replaced is scored or refused with its place.
    #[test]
    fn a_replaced_cell_is_scored_or_refused(column in 0..7_usize, cell in 0..NASTY.len()) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.csv");
        let mut cells = ["C1", "30", "1.5", "true", "2020-01-31", "e", "false"];
        cells[column] = NASTY[cell];
        let row = cells.map(|cell| format!("\"{}\"", cell.replace('"', ""))).join(",");
        std::fs::write(&path, format!("id,age,spend,member,since,plan,left\n{row}\n")).unwrap();
        match scored(&fitted().artifact, &path) {
            Ok((_, report)) => prop_assert!(report.mean_probability.is_some_and(|p| p > 0.0 && p < 1.0)),
            Err(error) => prop_assert!(error.to_string().contains("t.csv:2:"), "{error}"),
        }
    }
}
