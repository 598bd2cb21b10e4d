//! What was promised to a customer, or to a visit: prices, and whole quotes, each until a moment.
//!
//! A price once quoted holds in any other basket too, until its own time is over; a quote that still holds is given
//! again for the same basket. What is over is dropped whenever something is added.

use std::collections::BTreeMap;

use nextbest_models::pricing::{PriceBasis, PriceChoice};
use nextbest_models::units::Timestamp;
use serde::{Deserialize, Serialize};

/// Most baskets remembered; the one that ends first is dropped, and would get another quote at the same prices.
const MAX_BASKETS: usize = 50;
/// Most prices remembered.
const MAX_PRICES: usize = 1_000;

/// What one holder was promised.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Locks {
    prices: BTreeMap<String, Price>,
    baskets: BTreeMap<String, Quoted>,
}

/// A price that was promised.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Price {
    pub(super) price_minor: i64,
    until: Timestamp,
    /// Whether features of the holder entered it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) personal: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Quoted {
    quote_id: String,
    until: Timestamp,
}

impl Locks {
    /// The price promised for `place`, if it still holds.
    pub(super) fn price(&self, place: &str, now: Timestamp) -> Option<Price> {
        self.prices.get(place).filter(|price| now < price.until).copied()
    }

    /// The quote given for the basket of this digest, if it still holds.
    pub(super) fn quote(&self, digest: &str, now: Timestamp) -> Option<&str> {
        self.baskets.get(digest).filter(|quoted| now < quoted.until).map(|quoted| quoted.quote_id.as_str())
    }

    /// Promises a price; one that is promised already keeps its time, so that no promise is renewed for ever.
    pub(super) fn promise(&mut self, place: String, choice: &PriceChoice, until: Timestamp, now: Timestamp) {
        self.prices.retain(|_, price| now < price.until);
        if self.prices.len() < MAX_PRICES {
            let (price_minor, personal) = (choice.quoted_price_minor, choice.basis == PriceBasis::Personal);
            self.prices.entry(place).or_insert(Price { price_minor, until, personal });
        }
    }

    /// Promises a quote for the basket of this digest.
    pub(super) fn give(&mut self, digest: &str, quote_id: &str, until: Timestamp, now: Timestamp) {
        self.baskets.retain(|_, quoted| now < quoted.until);
        while self.baskets.len() >= MAX_BASKETS {
            let first = self.baskets.iter().min_by_key(|(_, quoted)| quoted.until);
            let Some(digest) = first.map(|(digest, _)| digest.clone()) else { break };
            self.baskets.remove(&digest);
        }
        self.baskets.insert(digest.to_owned(), Quoted { quote_id: quote_id.to_owned(), until });
    }

    /// When the last promise ends.
    pub(super) fn end(&self) -> Option<Timestamp> {
        let prices = self.prices.values().map(|price| price.until);
        prices.chain(self.baskets.values().map(|quoted| quoted.until)).max()
    }
}
