//! Where nothing can be told, nothing is: by name, for a group, and for a table.

use super::*;

/// Three brands of 40 rows: one whose price never moves, one of a single row, one that answers by -2.
fn brands() -> Vec<String> {
    let row = |at: usize| {
        let price = 1.0 + 0.1 * (at % 5) as f64;
        let wobble = 1.0 + 0.02 * ((at * 7) % 3) as f64;
        [
            format!("{},{price},moving,{}", 100.0 * price.powi(-2) * wobble, at % 8),
            format!("{},2.5,still,{}", 50 + at % 9, at % 8),
        ]
    };
    (0..40).flat_map(row).chain(["7,1.2,single,0".to_owned()]).collect()
}

#[test]
fn a_group_without_variation_says_so_and_the_others_are_told() {
    let (_folder, path) = written("q,p,brand,store", &brands());
    let by_brand = ElasticityOptions { by: names(&["brand"]), ..options(path.clone(), "q", "p") };
    let report = fit(&by_brand).unwrap();
    let [moving, single, still] = report.groups.as_slice() else { panic!("{report:?}") };
    // The noise is at most 2 % either way over a log price that varies by 12 %.
    assert!((moving.elasticity.unwrap().value + 2.0).abs() < 0.17, "{moving:?}");
    assert_eq!((single.elasticity, single.code, single.n), (None, Some(TooLittle::TooFewRows), 1));
    assert_eq!((still.elasticity, still.code), (None, Some(TooLittle::VariationTooSmall)));
    assert!(still.reason.as_ref().unwrap().contains("varies by 0.00 %"), "{still:?}");
    assert!(report.notes.iter().any(|note| note.starts_with("2 of 3 groups")));
    let two = ElasticityOptions { cluster: Some("brand".to_owned()), by: Vec::new(), ..by_brand };
    assert!(fit(&two).unwrap().notes[0].starts_with("few_clusters: 3 clusters"));
}

#[test]
fn controls_that_tell_the_price_leave_nothing_to_tell() {
    let rows: Vec<String> = brands().into_iter().filter(|row| row.contains("moving")).collect();
    let rows: Vec<String> =
        rows.iter().enumerate().map(|(at, row)| format!("{row},{},{}", at % 5, at % 5 * 2)).collect();
    let (_folder, path) = written("q,p,brand,store,shelf,twice", &rows);
    let base = options(path, "q", "p");
    let report = fit(&ElasticityOptions { fixed_effects: names(&["shelf"]), ..base.clone() }).unwrap();
    assert_eq!((report.pooled.elasticity, report.pooled.code), (None, Some(TooLittle::VariationTooSmall)));
    assert!(report.next.starts_with("Vary the price"));
    let twins =
        fit(&ElasticityOptions { controls: names(&["store", "shelf", "twice"]), ..base.clone() }).unwrap();
    assert_eq!(twins.pooled.dropped_controls, ["twice"]);
    let one = fit(&ElasticityOptions { controls: names(&["store", "shelf"]), ..base }).unwrap();
    assert_eq!(one.pooled.elasticity, twins.pooled.elasticity);
}

#[test]
fn trees_need_rows_and_clusters() {
    let rows: Vec<String> = brands().into_iter().filter(|row| row.contains("moving")).collect();
    let (_folder, path) = written("q,p,brand,store", &rows);
    let base =
        ElasticityOptions { controls: names(&["store"]), method: Method::Dml, ..options(path, "q", "p") };
    let few = fit(&base).unwrap().pooled;
    assert_eq!((few.elasticity, few.code), (None, Some(TooLittle::TooFewRows)));
    assert!(few.reason.unwrap().starts_with("40 rows in all; at least 100"));
    let repeated: Vec<String> = (0..4).flat_map(|_| rows.clone()).collect();
    let (_folder, table) = written("q,p,brand,store", &repeated);
    let one = fit(&ElasticityOptions { cluster: Some("brand".to_owned()), table, ..base }).unwrap().pooled;
    assert_eq!((one.elasticity, one.code), (None, Some(TooLittle::TooFewClusters)));
}

#[test]
fn thousands_of_groups_are_told_one_by_one() {
    let rows: Vec<String> = (0..60_000)
        .map(|at| {
            let price = 1.0 + 0.1 * (at / 3_000 % 7) as f64;
            format!("{},{price},g{}", 100.0 / (price * price) + (at % 11) as f64, at % 3_000)
        })
        .collect();
    let (_folder, path) = written("q,p,sku", &rows);
    let report = fit(&ElasticityOptions { by: names(&["sku"]), ..options(path, "q", "p") }).unwrap();
    assert_eq!(report.groups.len(), 3_000);
    assert!(report.groups.iter().all(|group| group.elasticity.is_some() && group.shrunk.is_some()));
}
