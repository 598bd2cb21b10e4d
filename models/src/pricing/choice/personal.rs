//! A customer's own price, beside everybody's: where a market allows features of a person to enter.

use super::item::Item;
use super::{Person, PriceBasis, PriceChoice, PriceRefusal};
use crate::pricing::guardrail::{Gate, note};
use crate::pricing::ladder::{Rung, Worth};
use crate::pricing::purchase::ShownItem;

/// What each rung brings of this customer.
struct Ladder {
    rungs: Vec<Rung>,
    worths: Vec<f64>,
}

impl Ladder {
    /// The place of the highest worth among the rungs that are `open`, of equal ones the lowest price.
    fn best(&self, open: impl Fn(i64) -> bool) -> Option<usize> {
        let valued = self.worths.iter().enumerate().filter(|(at, _)| open(self.rungs[*at].price_minor));
        valued.reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(at, _)| at)
    }
}

impl Item<'_> {
    /// The rung that is expected to bring the most of `person`, of those that stand as near to everybody's price as the
    /// market's parity asks; everybody's where no rung does, or no model chose it. What stands is everybody's in any case.
    ///
    /// Nothing of its own is drawn: the choice probability is that with which everybody's price fell where it leads here.
    pub(super) fn personal(
        &self,
        person: Person<'_>,
        everybodys: PriceChoice,
        fixed: &Gate,
    ) -> Result<PriceChoice, PriceRefusal> {
        let chosen = matches!(everybodys.basis, PriceBasis::Model | PriceBasis::Standing);
        let Some(worth) = self.worth().filter(|_| chosen) else { return Ok(everybodys) };
        let ladder = self.ladder_of(person, &worth, &everybodys);
        let everybody = everybodys.quoted_price_minor;
        let gate = self.parity(fixed, everybody)?;
        let (Some(wanted), Some(at)) = (ladder.best(|_| true), ladder.best(|price| gate.admits(price)))
        else {
            return Ok(everybodys);
        };
        let price = ladder.rungs[at].price_minor;
        let mut guardrails = everybodys.guardrails;
        note(&mut guardrails, "personal_demand", everybody, ladder.rungs[wanted].price_minor);
        let nearest = gate.apply(ladder.rungs[wanted].price_minor, &mut guardrails);
        note(&mut guardrails, "rounding", nearest, price);
        let mut choice_probability = 0.0;
        for drawn in everybodys.ladder.iter().filter(|rung| rung.choice_probability > 0.0) {
            let gate = self.parity(fixed, drawn.price_minor)?;
            if ladder.best(|price| gate.admits(price)) == Some(at) {
                choice_probability += drawn.choice_probability;
            }
        }
        let mut rungs = ladder.rungs;
        if choice_probability == 0.0 {
            choice_probability = 1.0;
        }
        rungs[at].choice_probability = choice_probability;
        Ok(PriceChoice {
            basis: PriceBasis::Personal,
            quoted_price_minor: price,
            everybody_price_minor: Some(everybody),
            purchase_probability: rungs[at].probability,
            ladder: rungs,
            guardrails,
            choice_probability,
            ..everybodys
        })
    }

    fn ladder_of(&self, person: Person<'_>, worth: &Worth<'_>, everybodys: &PriceChoice) -> Ladder {
        let prices: Vec<i64> = everybodys.ladder.iter().map(|rung| rung.price_minor).collect();
        let category = self.sku.and_then(|sku| sku.category.as_deref());
        let item = ShownItem { sku: &everybodys.sku, category, list_price_minor: self.list };
        let asked: Vec<i64> = prices.iter().copied().chain([self.list]).collect();
        let mut probabilities = person.purchase.probabilities(person.features, item, &asked);
        // Worths are told per unit that sells at the list price.
        let at_list = probabilities.pop().map_or(1.0, |p| p.get()).max(f64::MIN_POSITIVE);
        let each = prices.iter().zip(&probabilities);
        let (rungs, worths) = each
            .map(|(&price, &probability)| {
                let relative = self.beside_neighbours(probability.get() / at_list);
                (worth.rung(price, relative, at_list, Some(probability)), worth.at(price, relative))
            })
            .unzip();
        Ladder { rungs, worths }
    }

    /// What the guardrails of one customer's price leave of `fixed`, everybody being asked `everybody_minor`.
    fn parity(&self, fixed: &Gate, everybody_minor: i64) -> Result<Gate, PriceRefusal> {
        let mut gate = fixed.clone();
        self.approach_competitor(&mut gate);
        let ratio = self.around.market.parity_ratio;
        let scaled = |ratio: f64| (everybody_minor as f64 * ratio).round() as i64;
        gate.approach("segment_parity", scaled(1.0 - ratio), scaled(1.0 + ratio));
        self.narrow_to_announced(&mut gate)?;
        Ok(gate)
    }
}
