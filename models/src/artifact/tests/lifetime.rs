//! A lifetime-value model goes in and comes out, and what was changed in between is named.

use super::*;
use crate::artifact::layout;
use crate::value::{
    BgNbd, CustomerSummary, GammaGamma, Horizon, LifetimeModel, PurchaseSummary, SpendSummary, TimeUnit,
};

fn lifetime(r: f64) -> LifetimeModel {
    let bg_nbd = BgNbd::new(r, 4.414, 0.793, 2.426).unwrap();
    let gamma_gamma = GammaGamma::new(6.25, 3.74, 15.44).ok();
    LifetimeModel::new(TimeUnit::Week, bg_nbd, gamma_gamma, Horizon::new(52, 0.002, 0.3).unwrap())
}

fn customers() -> Vec<CustomerSummary> {
    let one = |x, t_x, mean| CustomerSummary {
        purchases: PurchaseSummary::new(x, t_x, 38.86).unwrap(),
        spend: SpendSummary::new(x, mean).ok(),
        truncated: false,
    };
    vec![one(2.0, 30.43, 22.35), one(0.0, 0.0, 0.0), one(29.0, 37.71, 8.1)]
}

/// Sealed with the golden scores of `told`.
fn with(told: &LifetimeModel) -> ArtifactBuilder {
    let mut builder = builder();
    let golden: Vec<_> = customers().into_iter().map(|of| (of, told.score(&of))).collect();
    builder.lifetime(model("lifetime_value"), &lifetime(0.243), &golden);
    builder
}

#[test]
fn a_lifetime_model_is_sealed_beside_others() {
    let artifact = with(&lifetime(0.243)).seal().unwrap();
    assert_eq!(artifact.lifetime(), Some(&lifetime(0.243)));
    // Ten rows of propensities, three numbers of three customers.
    let check = artifact.check_golden().unwrap();
    assert!(check.n_rows == 19 && check.largest_difference < 1e-12, "{check:?}");
    let inspection = serde_json::to_value(artifact.inspect()).unwrap();
    assert_eq!(inspection["lifetime"]["bg_nbd"]["alpha"], 4.414);
    assert_eq!(inspection["lifetime"]["unit"], "week");
    assert!(super::artifact().lifetime().is_none());
    assert!(serde_json::to_value(super::artifact().inspect()).unwrap().get("lifetime").is_none());
}

#[test]
fn golden_customers_of_another_model_do_not_score() {
    let mismatch = with(&lifetime(0.244)).seal().unwrap().check_golden().unwrap_err();
    assert_eq!(mismatch.model, "lifetime_value");
}

#[test]
fn a_section_that_is_no_model_is_named() {
    let told = |from: &str, to: &str| {
        let mut sections = with(&lifetime(0.243)).sections_for_test();
        let at = sections.iter().position(|(kind, _)| *kind == SectionKind::LifetimeValue).unwrap();
        let text = String::from_utf8(sections[at].1.clone()).unwrap();
        assert!(text.contains(from), "{text}");
        sections[at].1 = text.replacen(from, to, 1).into_bytes();
        Artifact::from_bytes(layout::seal(&sections), None).unwrap_err().to_string()
    };
    let format = told("\"format\":1", "\"format\":2");
    assert!(format.contains("the lifetime model has format 2, this version reads 1"), "{format}");
    let alpha = told("\"alpha\":4.414", "\"alpha\":-1");
    assert!(alpha.contains("alpha is -1; it must be a finite number above 0"), "{alpha}");
    let horizon = told("\"n_units\":52", "\"n_units\":0");
    assert!(horizon.contains("a horizon of 0 units"), "{horizon}");
}
