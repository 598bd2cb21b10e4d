//! What a benchmark over seeds says of its arms: shares of another's gain with their standard errors.

/// The share of the sum of `whole` that the sum of `part` makes, both by seed, and its standard error by the jackknife over
/// seeds (Quenouille 1956).
#[must_use]
pub fn share(part: &[f64], whole: &[f64]) -> (f64, f64) {
    let (all_part, all_whole): (f64, f64) = (part.iter().sum(), whole.iter().sum());
    let without: Vec<f64> =
        part.iter().zip(whole).map(|(part, whole)| (all_part - part) / (all_whole - whole)).collect();
    let n = without.len() as f64;
    let centre = without.iter().sum::<f64>() / n;
    let variance = without.iter().map(|one| (one - centre).powi(2)).sum::<f64>() * (n - 1.0) / n;
    (all_part / all_whole, variance.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_equal_parts_is_sure_and_that_of_a_constant_whole_is_a_mean() {
        assert_eq!(share(&[1.0, 2.0, 3.0], &[2.0, 4.0, 6.0]), (0.5, 0.0));
        // Of a whole of 1 each, the share is the mean and the jackknife its standard error: 1 / sqrt(3).
        let (value, se) = share(&[1.0, 2.0, 3.0], &[1.0; 3]);
        assert!((value - 2.0).abs() < 1e-12 && (se - (1.0_f64 / 3.0).sqrt()).abs() < 1e-12, "{value} {se}");
    }
}
