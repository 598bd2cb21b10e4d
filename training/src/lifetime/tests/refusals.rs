//! Tables at their worst: what is refused names every row, what cannot be told has a code.

use super::*;
use crate::lifetime::error::Untold;

fn refused(source: Source) -> String {
    fit(&options(source)).unwrap_err().to_string()
}

#[test]
fn contradicting_summaries_are_all_found_in_one_pass() {
    let (_dir, path) =
        file("x,t_x,T\n1,5,10\n2,11,10\n-1,0,10\n1.5,2,10\n0,3,10\n2,0,10\nmany,1,10\n1,2,inf\n3,12,10\n");
    let told = refused(Source::Summary(summary(&path)));
    for part in [
        "t_x: 2 rows are not at most the age (row 3:\"x 2, t_x 11, age 10\", 10:\"x 3, t_x 12, age 10\")",
        "x: 1 row is not at least 0 (row 4:",
        "x: 1 row is not a whole number (row 5:",
        "t_x: 1 row is not 0 where there is no repeat purchase (row 6:",
        "t_x: 1 row is not above 0 where there are repeat purchases (row 7:",
        "x: 1 row is not a finite number (row 8:\"many\")",
        "T: 1 row is not a finite number (row 9:\"inf\")",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
}

#[test]
fn faulty_purchases_are_all_found_in_one_pass() {
    let (_dir, path) =
        file("id,date,spent\na,2020-01-01,5\n,2020-01-02,5\na,soon,5\na,2021-05-05,5\na,2020-01-03,dear\n");
    let asked = Transactions { observation_end: day("2020-12-31"), ..transactions(&path) };
    let told = refused(Source::Transactions(asked));
    for part in [
        "id: 1 row is not a customer (row 3:\"\")",
        "date: 1 row is not a date (20260131 or 2026-01-31) of the years 1900 to 2199 (row 4:\"soon\")",
        "date: 1 row is not on or before the end of the observation (row 5:\"2021-05-05\")",
        "spent: 1 row is not a finite number (row 6:\"dear\")",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
}

#[test]
fn rows_that_tell_nothing_have_a_code() {
    let code = |csv: &str| {
        let (_dir, path) = file(csv);
        match fit(&options(Source::Summary(summary(&path)))).unwrap_err() {
            LifetimeError::Untold { code, .. } => code,
            other => panic!("{other}"),
        }
    };
    assert_eq!(code(&format!("x,t_x,T\n{}", "0,0,10\n".repeat(50))), Untold::AllOneTimeBuyers);
    assert_eq!(code("x,t_x,T\n0,0,10\n"), Untold::AllOneTimeBuyers);
    assert_eq!(code("x,t_x,T\n3,4,10\n"), Untold::TooFewRepeaters);
    // Everybody alike: no spread of rates to tell a shape from.
    assert_eq!(code(&format!("x,t_x,T\n{}", "3,9,10\n".repeat(50))), Untold::NotIdentified);
}

#[test]
fn values_of_nothing_are_left_out_and_counted() {
    let drawn = cohort(&cdnow(), 2_000, 21);
    let rows = drawn.iter().enumerate().map(|(at, of)| {
        let value =
            if of.x() == 0.0 { "0".to_owned() } else { ["0", "-3", "", "20", "35", "50"][at % 6].to_owned() };
        format!("{},{},{},{value}\n", of.x(), of.t_x(), of.age())
    });
    let (_dir, path) = file(&format!("x,t_x,T,zbar\n{}", rows.collect::<String>()));
    let asked = SummaryTable { value: Some("zbar".to_owned()), ..summary(&path) };
    let report = fit(&options(Source::Summary(asked))).unwrap().report;
    let spend = &report.gamma_gamma;
    assert_eq!(spend.n as u64 + spend.n_without_value, report.n_repeaters as u64);
    assert!(spend.n > 0 && spend.n_without_value > 0, "{spend:?}");
    let bare = fit(&options(Source::Summary(summary(&path)))).unwrap();
    assert_eq!(bare.report.gamma_gamma.code, Some(Untold::NoValueColumn));
    assert_eq!(bare.report.log_likelihood, report.log_likelihood);
    assert!(bare.artifact.lifetime().unwrap().gamma_gamma().is_none());
}

#[test]
fn columns_and_days_that_cannot_be_are_wrong_calls() {
    let (_dir, path) = file("id,date,spent\na,2020-01-01,5\na,2020-02-01,5\n");
    let calls = [
        Transactions { date: "day".to_owned(), ..transactions(&path) },
        Transactions { date: "id".to_owned(), ..transactions(&path) },
    ];
    for call in calls {
        let error = fit(&options(Source::Transactions(call))).unwrap_err();
        assert!(error.is_wrong_call(), "{error}");
    }
    let early = LifetimeOptions {
        calibration_end: day("2019-01-01"),
        ..options(Source::Transactions(transactions(&path)))
    };
    let error = fit(&early).unwrap_err();
    assert!(error.is_wrong_call(), "{error}");
    let told = "--calibration-end 2019-01-01: purchases lie from 2020-01-01 to 2020-02-01; it must lie between the two";
    assert_eq!(error.to_string(), told);
}
