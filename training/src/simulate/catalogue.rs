//! What the shop sells: 60 SKUs in 6 categories, the same for every seed.
//!
//! `examples/shop/pricing.toml` is written from this list (a test holds the two together), so that what is priced
//! online is what was sold here. Nothing here is random.

use std::fmt::Write as _;

/// Number of categories.
pub const N_CATEGORIES: usize = 6;
/// SKUs in each category.
pub const SKUS_PER_CATEGORY: usize = 10;
/// SKUs in all.
pub const N_SKUS: usize = N_CATEGORIES * SKUS_PER_CATEGORY;

/// A category and what is true of it.
#[derive(Clone, Copy, Debug)]
pub struct Category {
    /// Name, as in pricing.toml.
    pub name: &'static str,
    /// Share of shopping trips over the whole year, before taste and season.
    pub share: f64,
    /// Median price sensitivity: utility lost per unit of log price.
    pub beta: f64,
    /// Attractiveness of the category as a whole against buying nothing, in utility.
    pub appeal: f64,
    /// Day of the year at which it is most wanted, and how much: weight = exp(strength * cos(...)).
    pub peak_day: f64,
    /// See `peak_day`; 0 is no season.
    pub season_strength: f64,
    /// Cheapest and dearest list price, minor units.
    pub price_range_minor: (i64, i64),
    /// Unit cost as a share of the list price.
    pub cost_ratio: f64,
}

/// The six categories.
pub const CATEGORIES: [Category; N_CATEGORIES] = [
    category("coffee", 0.26, 2.6, 0.10, 15.0, 0.25, (699, 2499), 0.48),
    category("tea", 0.18, 2.2, 0.00, 340.0, 0.35, (399, 1799), 0.42),
    category("mugs", 0.16, 1.8, -0.25, 345.0, 0.45, (799, 2199), 0.38),
    category("kitchen", 0.16, 3.0, -0.35, 320.0, 0.30, (1299, 8999), 0.55),
    category("garden", 0.12, 2.4, -0.20, 140.0, 0.90, (999, 5999), 0.50),
    category("gifts", 0.12, 1.6, -0.10, 350.0, 0.80, (1199, 4999), 0.40),
];

#[expect(clippy::too_many_arguments, reason = "one row of a table, read in the order of its columns")]
const fn category(
    name: &'static str,
    share: f64,
    beta: f64,
    appeal: f64,
    peak_day: f64,
    season_strength: f64,
    price_range_minor: (i64, i64),
    cost_ratio: f64,
) -> Category {
    Category { name, share, beta, appeal, peak_day, season_strength, price_range_minor, cost_ratio }
}

/// One thing to sell.
#[derive(Clone, Debug, PartialEq)]
pub struct Sku {
    /// `COFFEE-01`.
    pub id: String,
    /// Index into [`CATEGORIES`].
    pub category: usize,
    /// List price, minor units.
    pub list_price_minor: i64,
    /// What one costs the shop, minor units.
    pub cost_minor: i64,
    /// Utility at list price, within its category (popularity).
    pub appeal: f64,
}

/// All SKUs, by category; SKU `i` belongs to category `i / SKUS_PER_CATEGORY`.
#[must_use]
pub fn skus() -> Vec<Sku> {
    (0..N_SKUS).map(|index| sku(index / SKUS_PER_CATEGORY, index % SKUS_PER_CATEGORY)).collect()
}

fn sku(category: usize, place: usize) -> Sku {
    let about = &CATEGORIES[category];
    let (low, high) = about.price_range_minor;
    // Prices climb geometrically over the range and end in 99, as shop prices do.
    let step = place as f64 / (SKUS_PER_CATEGORY - 1) as f64;
    let raw = low as f64 * (high as f64 / low as f64).powf(step);
    let list_price_minor = ((raw / 100.0).round() as i64).max(1) * 100 - 1;
    // A fixed spread of costs and popularity that follows neither the price nor each other.
    let spread = ((place * 7 + category * 3) % SKUS_PER_CATEGORY) as f64 / SKUS_PER_CATEGORY as f64;
    let cost_minor = (list_price_minor as f64 * about.cost_ratio * (0.9 + 0.2 * spread)).round() as i64;
    let rank = (place * 3 + category) % SKUS_PER_CATEGORY;
    // Zipf-like popularity (weight rank^-0.7); ten together are worth 3.97 exp(-1.75) = 0.69 at appeal 0.
    let appeal = about.appeal - 0.7 * ((rank + 1) as f64).ln() - 1.75;
    Sku {
        id: format!("{}-{:02}", about.name.to_uppercase(), place + 1),
        category,
        list_price_minor,
        cost_minor,
        appeal,
    }
}

/// The `[[sku]]` tables of `examples/shop/pricing.toml`; what stands before them is written by hand.
#[must_use]
pub fn skus_toml() -> String {
    let mut text = String::new();
    for sku in skus() {
        let category = CATEGORIES[sku.category].name;
        let Sku { id, list_price_minor, cost_minor, .. } = sku;
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "[[sku]]\nsku = \"{id}\"\ncategory = \"{category}\"\nlist_price_minor = {list_price_minor}\ncost_minor = {cost_minor}\n\n"
        );
    }
    text.truncate(text.trim_end().len() + 1);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// To refresh the file after a change of the catalogue: `NEXTBEST_WRITE=1 cargo test -p nextbest-training pricing`.
    #[test]
    fn the_example_prices_what_the_shop_sells() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/shop/pricing.toml");
        let text = std::fs::read_to_string(path).unwrap();
        let (terms, skus) = text.split_at(text.find("\n[[sku]]\n").unwrap() + 1);
        if std::env::var_os("NEXTBEST_WRITE").is_some() {
            std::fs::write(path, format!("{terms}{}", skus_toml())).unwrap();
        }
        assert_eq!(skus, skus_toml());
    }

    #[test]
    fn every_sku_earns_money_and_has_its_own_name() {
        let skus = skus();
        let names: std::collections::BTreeSet<_> = skus.iter().map(|sku| &sku.id).collect();
        assert_eq!(names.len(), N_SKUS);
        for sku in &skus {
            assert!(sku.cost_minor * 10 < sku.list_price_minor * 7, "{sku:?}");
            assert_eq!(sku.list_price_minor % 100, 99);
        }
        let shares: f64 = CATEGORIES.iter().map(|category| category.share).sum();
        assert!((shares - 1.0).abs() < 1e-12);
    }
}
