//! Gradients against differences, grouped sums against single customers, chi-square against its tables.

use nextbest_models::value::{CustomerSummary, GammaGamma, SpendSummary};
use proptest::prelude::*;

use super::*;
use crate::lifetime::optimum::Objective;

/// Central differences are off by h^2 times a third derivative and by rounding over h: about 1e-6 of the numbers here.
fn agrees<const K: usize>(objective: &impl Objective<K>, logs: [f64; K]) {
    let (value, gradient) = objective.at(&logs);
    for (at, gradient) in gradient.into_iter().enumerate() {
        let beside = |by: f64| {
            let mut logs = logs;
            logs[at] += by;
            objective.at(&logs).0
        };
        let slope = (beside(1e-5) - beside(-1e-5)) / 2e-5;
        let bound = 1e-6 * (value.abs() + gradient.abs());
        assert!((slope - gradient).abs() < bound, "{at}: {slope} {gradient}");
    }
}

proptest! {
    #[test]
    fn gradients_are_differences(logs in prop::array::uniform4(-2.0..2.5_f64), seed in 0_u64..1_000) {
        let drawn = cohort(&cdnow(), 200, seed);
        agrees(&grouped::purchases(drawn.iter()), logs);
        let mut rng = rng(seed);
        let truth = GammaGamma::new(6.25, 3.74, 15.44).unwrap();
        let spends: Vec<SpendSummary> =
            (0..100).filter_map(|at| draw::spend(&truth, f64::from(1 + at % 5), &mut rng)).collect();
        agrees(&grouped::spends(spends.iter()), [logs[0], logs[1], logs[2]]);
    }

    /// What online scoring calls likelihood is what training climbs; a sum of some hundred terms.
    #[test]
    fn grouped_sums_are_sums_of_customers(logs in prop::array::uniform4(-3.0..4.0_f64), seed in 0_u64..1_000) {
        let [r, alpha, a, b] = logs.map(f64::exp);
        let model = BgNbd::new(r, alpha, a, b).unwrap();
        // Twice each, so that there is something to group.
        let drawn = [cohort(&cdnow(), 150, seed), cohort(&cdnow(), 150, seed)].concat();
        let single: f64 = drawn.iter().map(|of| model.log_likelihood(of)).sum();
        let grouped = grouped::purchases(drawn.iter());
        prop_assert!(grouped.groups.len() <= 150 && grouped.n == 300.0);
        prop_assert!((grouped.at(&logs).0 - single).abs() < 1e-10 * single.abs());
    }
}

/// Chunks and threads do not move a bit, and neither does the order of rows.
#[test]
fn the_order_of_customers_does_not_matter() {
    let mut drawn = cohort(&cdnow(), 40_000, 5);
    let logs = [0.1, 1.0, -0.2, 0.9];
    let found = grouped::purchases(drawn.iter());
    assert!(found.groups.len() > 2 * grouped::CHUNK, "more than one chunk: {}", found.groups.len());
    drawn.reverse();
    assert_eq!(found.at(&logs), grouped::purchases(drawn.iter()).at(&logs));
}

/// Abramowitz & Stegun (1964), table 26.8: the points that chi-square passes with probability .05 and .001.
#[test]
fn chi_square_is_that_of_the_tables() {
    for (freedom, five, one) in
        [(1, 3.841_46, 10.827_6), (2, 5.991_46, 13.815_5), (3, 7.814_73, 16.266_3), (6, 12.591_6, 22.457_7)]
    {
        // Six digits of the point: 1e-5 of the probability.
        assert!((goodness::upper_tail(freedom, five) - 0.05).abs() < 1e-5 * 0.5, "{freedom}");
        assert!((goodness::upper_tail(freedom, one) - 0.001).abs() < 1e-5 * 0.05, "{freedom}");
    }
    assert_eq!(goodness::upper_tail(3, 0.0), 1.0);
}

#[test]
fn days_are_read_in_both_forms() {
    let wanted = day("1997-09-30");
    assert!(wanted.is_some());
    for text in ["19970930", "1997-09-30T23:59:59", "1997-09-30 10:00"] {
        assert_eq!(day(text), wanted, "{text}");
    }
    for text in ["", "1997", "19970231", "30.09.1997", "9970930", "18991231", "x9970930"] {
        assert_eq!(day(text), None, "{text}");
    }
}

/// Two purchases on one day are one; values of a day add; rows may stand in any order; what came later is not known.
#[test]
fn purchases_are_summarised_by_day() {
    let (_dir, path) = file(
        "id,date,spent\nb,2020-02-01,5\na,2020-01-15,30\na,2020-01-01,100\na,20200115,10\na,2020-01-29,20\na,2020-03-01,999\n",
    );
    let all = read::purchases(&transactions(&path)).unwrap();
    assert_eq!(
        (all.n_rows, all.n_same_day(), all.keys.clone()),
        (6, 1, vec!["b".to_owned(), "a".to_owned()])
    );
    let found = all.customers(day("2020-02-05").unwrap(), TimeUnit::Week);
    let of = |who: usize| -> CustomerSummary { found[who].summary };
    assert_eq!((of(0).purchases.x(), of(0).spend), (0.0, None));
    let a = of(1);
    assert_eq!((a.purchases.x(), a.purchases.t_x(), a.purchases.age()), (2.0, 4.0, 5.0));
    // 40 on the 15th and 20 on the 29th; the first purchase is no repeat.
    assert_eq!(a.spend, SpendSummary::new(2.0, 30.0).ok());
}
