//! Faults of pricing.toml: each with its line, all at once.

use super::*;

#[test]
fn faults_name_their_lines() {
    let lines = |text: &str| -> Vec<(usize, String)> {
        let faults = PricingRules::parse(text).unwrap_err();
        faults.into_iter().map(|fault| (fault.line.unwrap_or(0), fault.message)).collect()
    };
    let found = lines(
        &RULES.replace("n_rungs = 21", "n_rungs = 1").replace("ceiling_ratio = 1.2", "ceiling_ratio = 0.9"),
    );
    assert_eq!(found.iter().map(|fault| fault.0).collect::<Vec<_>>(), [2, 6]);
    assert!(found[0].1.contains("n_rungs = 1 lies outside 2 ..= 200"), "{found:?}");
    let conflict = lines(&RULES.replace("floor_minor = 3500", "floor_minor = 4600"));
    assert_eq!(conflict[0].0, 15);
    assert!(conflict[0].1.contains("floor asks for at least 4600, ceiling for at most 4500"), "{conflict:?}");
    assert_eq!(lines(&RULES.replace("\"PAN\"", "\"MUG\""))[0].0, 15);
    let never = lines(&RULES.replace("min_margin_ratio = 0.05", "min_margin_ratio = 0.7"));
    assert!(never[0].1.contains("minimum_margin asks for at least 1666667"), "{never:?}");
    let garden =
        "[[category]]\ncategory = \"mugs\"\nfloor_ratio = 1.0\nceiling_ratio = 1.0\nmin_margin_ratio = 0.6\n";
    let by_category = lines(&format!("{RULES}{garden}"));
    assert_eq!((by_category.len(), by_category[0].0), (1, 10), "the SKU of that category: {by_category:?}");
    let band =
        lines(&RULES.replace("[default]\n", "[default]\ncompetitor_band = [1.1, 0.9]\nmax_step_ratio = 0\n"));
    assert_eq!(band.iter().map(|fault| fault.0).collect::<Vec<_>>(), [5, 6], "{band:?}");
    let other = lines(&format!("{RULES}[exploration]\nkind = \"softmax\"\n"));
    assert!(other[0].1.contains("softmax"), "{other:?}");
    let reaction =
        "[demand_reaction]\nhalf_life_hours = 0\nreaction = 2\nmax_tilt_ratio = 0.1\nprior_units = 1\n";
    assert_eq!(lines(&format!("{RULES}{reaction}")).len(), 2);
    let market = lines(&format!("{RULES}[market.GB]\nprior_price_days = 400\nparity_ratio = 2\n"));
    assert_eq!(market.len(), 2, "{market:?}");
    let typo = lines(&RULES.replace("rounding = ", "ronding = "));
    assert!(typo[0].0 == 3 && typo[0].1.contains("ronding"), "{typo:?}");
    assert!(lines("lock_minutes = \"soon\"")[0].1.contains("expected u32"));
}
