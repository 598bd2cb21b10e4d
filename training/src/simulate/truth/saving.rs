//! What one contact more changes of the margin a customer is to bring: summed over the hidden chain, never sampled.
//!
//! Values are carried backward day by day, as [`super::outlook`] carries mass forward, and follow the day as `life` does:
//! drift, decision, visit, order. From the day of the contact on the legacy policy goes on as it would have; a decision of its
//! own due on that very day gives way. The market's path is taken as known.

use std::collections::BTreeSet;

use nextbest_models::event::EventType;
use nextbest_models::units::Timestamp;

use super::super::campaign::{ContactOdds, OPTED_OUT, Situation, harm, harmed, opt_out, response};
use super::super::catalogue::N_CATEGORIES;
use super::super::life::Life;
use super::super::market::{Market, skus_of};
use super::super::mood::{FATIGUE_DECAY, GONE, N_MOODS, State, TRIPS, mood_factor, sku_weights};
use super::super::shopper::Shopper;
use super::super::traits::Traits;
use super::Step;

/// Share of orders that are cancelled whole, and of other lines that come back at usual trouble, as `shopping` draws them.
const CANCELLED: f64 = 0.03;
const RETURNED: f64 = 0.04;
const MOST_RETURNED: f64 = 0.3;
/// Most units of an order line.
const MOST_UNITS: i32 = 20;

/// A value by mood, stock and fatigue.
type Values = [[[f64; OPTED_OUT + 1]; 2]; N_MOODS];

/// Days over which margins count, and what a later one is worth on the first day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// First day, since the log's start; the contact falls on it.
    pub age: usize,
    /// So many days, within the market's path.
    pub n_days: usize,
    /// What a margin loses a week: 0.002 is 11 % a year.
    pub weekly_discount: f64,
}

impl Window {
    /// What a margin `day` days after the first is worth on it.
    fn worth(&self, day: f64) -> f64 {
        (1.0 + self.weekly_discount).powf(-day / 7.0)
    }
}

/// What a customer is to bring within a [`Window`], by the hidden state in which it finds them, in minor units.
pub struct Prospect {
    drift: [[f64; N_MOODS + 1]; N_MOODS],
    /// When the first day comes to its decision, which the legacy policy takes.
    decided: Values,
    /// At the visit of that day.
    noon: Noon,
}

/// What a day is worth from its visit on.
struct Noon {
    /// Expected margin of a visit, by mood.
    margin: [f64; N_MOODS],
    buy: [f64; N_MOODS],
    waiting: Values,
    /// To who has ordered already that day.
    ordered: Values,
}

impl Prospect {
    /// Of the customer that `shopper` is, under the legacy policy.
    #[must_use]
    pub fn of(shopper: &mut Shopper<'_>, window: &Window) -> Self {
        let mut tomorrow = Values::default();
        let (mut week, mut of_week) = (usize::MAX, [0.0; N_MOODS]);
        let mut first = None;
        for day in (0..window.n_days).rev() {
            let age = window.age + day;
            if age / 7 != week {
                (week, of_week) = (age / 7, unit_margins(shopper, age));
            }
            let kept = units_kept(&shopper.traits, shopper.market.trouble[age]) * window.worth(day as f64);
            let step = Step::new(shopper, age);
            let noon = Noon::of(&step, of_week.map(|margin| margin * kept), &tomorrow);
            let decided = if step.decides { noon.decided(&step) } else { noon.waiting };
            tomorrow = morning(&step.drift, &decided);
            if day == 0 {
                first = Some(Self { drift: step.drift, decided, noon });
            }
        }
        first.unwrap_or(Self {
            drift: [[0.0; N_MOODS + 1]; N_MOODS],
            decided: Values::default(),
            noon: Noon::nothing(),
        })
    }

    /// Expected margin from `state` at the start of the first day, under the legacy policy alone.
    #[must_use]
    pub fn untouched(&self, state: State) -> f64 {
        self.mean(state, |mood| self.decided[mood][state.stock][state.fatigue])
    }

    /// The same with one contact on the first day; it changes nothing for who has withdrawn consent.
    #[must_use]
    pub fn contacted(&self, traits: &Traits, state: State, (action, channel): (usize, usize)) -> f64 {
        if state.fatigue >= OPTED_OUT {
            return self.untouched(state);
        }
        self.mean(state, |mood| {
            let at = Situation { mood, stock: state.stock, fatigue: state.fatigue };
            let came = response(traits, action, channel, at);
            let put_off = (1.0 - came) * harm(traits, action, at.fatigue);
            self.noon.contacted(at, &ContactOdds { came, harmed: put_off, ignored: 1.0 - came - put_off })
        })
    }

    /// What the contact adds, before its cost.
    #[must_use]
    pub fn saved(&self, traits: &Traits, state: State, contact: (usize, usize)) -> f64 {
        self.contacted(traits, state, contact) - self.untouched(state)
    }

    /// The mean over the moods to which the first day's drift leads.
    fn mean(&self, state: State, value: impl Fn(usize) -> f64) -> f64 {
        if state.mood == GONE {
            return 0.0;
        }
        (0..N_MOODS).map(|mood| self.drift[state.mood][mood] * value(mood)).sum()
    }
}

impl Noon {
    const fn nothing() -> Self {
        let none = [[[0.0; OPTED_OUT + 1]; 2]; N_MOODS];
        Self { margin: [0.0; N_MOODS], buy: [0.0; N_MOODS], waiting: none, ordered: none }
    }

    fn of(step: &Step<'_, '_>, margin: [f64; N_MOODS], tomorrow: &Values) -> Self {
        let mut noon = Self { margin, buy: step.buy, ..Self::nothing() };
        let of_mood = |mood: usize| (0..2).map(move |stock| (mood, stock));
        for (mood, stock) in (0..N_MOODS).flat_map(of_mood) {
            let (visit, bought) = (step.visit[mood][stock], step.visit[mood][stock] * step.buy[mood]);
            for fatigue in 0..=OPTED_OUT {
                let evening = |mood: usize, stock: usize| rested(&tomorrow[mood][stock], fatigue);
                let after = step.after_order[mood];
                let ordered: f64 = (0..N_MOODS).map(|to| after[to] * evening(to, 1)).sum();
                let bare = evening(mood, 0);
                let silent = if stock == 0 {
                    bare
                } else {
                    step.used_up * bare + (1.0 - step.used_up) * evening(mood, 1)
                };
                noon.waiting[mood][stock][fatigue] =
                    visit * margin[mood] + bought * ordered + (1.0 - bought) * silent;
                noon.ordered[mood][stock][fatigue] = visit * margin[mood] + ordered;
            }
        }
        noon
    }

    /// Before one decision of the legacy policy.
    fn decided(&self, step: &Step<'_, '_>) -> Values {
        let mut values = self.waiting;
        for (mood, by_stock) in values.iter_mut().enumerate() {
            for (stock, by_fatigue) in by_stock.iter_mut().enumerate() {
                for (fatigue, value) in by_fatigue.iter_mut().take(OPTED_OUT).enumerate() {
                    let odds = step.shopper.contact[mood][stock][fatigue];
                    let left_alone = 1.0 - odds.ignored - odds.harmed - odds.came;
                    let contacted = self.contacted(Situation { mood, stock, fatigue }, &odds);
                    *value = left_alone * *value + contacted;
                }
            }
        }
        values
    }

    /// What a contact of these odds leads to, each weighed by its probability.
    fn contacted(&self, at: Situation, odds: &ContactOdds) -> f64 {
        let Situation { mood, stock, fatigue } = at;
        let (leave, tired) = (opt_out(fatigue), (fatigue + 1).min(OPTED_OUT - 1));
        let (buy, to) = (self.buy[mood], harmed(mood));
        let value = |fatigue: usize| {
            let ignored = self.waiting[mood][stock][fatigue];
            let came = self.margin[mood] + buy * self.ordered[mood][stock][fatigue] + (1.0 - buy) * ignored;
            let put_off = if to == GONE { 0.0 } else { self.waiting[to][stock][fatigue] };
            odds.ignored * ignored + odds.came * came + odds.harmed * put_off
        };
        leave * value(OPTED_OUT) + (1.0 - leave) * value(tired)
    }
}

/// Over a night's rest: fatigue may fade.
fn rested(by_fatigue: &[f64; OPTED_OUT + 1], fatigue: usize) -> f64 {
    if (1..OPTED_OUT).contains(&fatigue) {
        FATIGUE_DECAY * by_fatigue[fatigue - 1] + (1.0 - FATIGUE_DECAY) * by_fatigue[fatigue]
    } else {
        by_fatigue[fatigue]
    }
}

/// Before the day's drift.
fn morning(drift: &[[f64; N_MOODS + 1]; N_MOODS], decided: &Values) -> Values {
    let mut values = Values::default();
    for (mood, row) in drift.iter().enumerate() {
        for stock in 0..2 {
            for fatigue in 0..=OPTED_OUT {
                values[mood][stock][fatigue] =
                    (0..N_MOODS).map(|to| row[to] * decided[to][stock][fatigue]).sum();
            }
        }
    }
    values
}

/// Expected margin of a visit in the week of day `age` per unit of each order line, by mood.
fn unit_margins(shopper: &mut Shopper<'_>, age: usize) -> [f64; N_MOODS] {
    let view = shopper.view(age);
    let (market, traits) = (shopper.market, &shopper.traits);
    let week = market.week(age);
    let trips: f64 = (1..).zip(TRIPS).map(|(n, p)| f64::from(n) * p).sum();
    let of_category: [f64; N_CATEGORIES] = std::array::from_fn(|category| {
        let weights = sku_weights(market, week, traits, category);
        let margins = skus_of(category).zip(weights).map(|(sku, weight)| {
            weight * (week.offers[sku].price_minor - market.skus[sku].cost_minor) as f64
        });
        margins.sum()
    });
    std::array::from_fn(|mood| {
        let factor = mood_factor(mood);
        let trip = |k: usize| view.category[k] * of_category[k] * factor / (1.0 + factor * view.strength[k]);
        trips * (0..N_CATEGORIES).map(trip).sum::<f64>()
    })
}

/// Expected units of an order line that stay with the customer: 1 plus the whole part of an exponential, at most
/// [`MOST_UNITS`]; of a line that comes back each number of units is as likely.
fn units_kept(traits: &Traits, trouble: f64) -> f64 {
    let units = 1.0 + (1..MOST_UNITS).map(|k| (-f64::from(k) / traits.extra_units).exp()).sum::<f64>();
    let returned = (RETURNED * trouble).min(MOST_RETURNED);
    (1.0 - CANCELLED) * (units - returned * 0.5 * (units + 1.0))
}

/// The margin that `life` brought within `window` of a log that began at `start`, in minor units: of orders placed in it, less
/// what came back of them by the end of the log.
#[must_use]
pub fn lived_margin(life: &Life, market: &Market, start: Timestamp, window: &Window) -> f64 {
    let whole = |days: usize| i32::try_from(days).unwrap_or(i32::MAX);
    let first = start.plus_days(whole(window.age));
    let end = first.plus_days(whole(window.n_days));
    let mut seen = BTreeSet::new();
    let mut margin = 0.0;
    for event in &life.entries.events {
        let sign = match event.event_type {
            EventType::OrderPlaced => 1.0,
            EventType::OrderCancelled | EventType::Refunded => -1.0,
            _ => continue,
        };
        let at = event.booked_at();
        // The log holds some events twice.
        if at >= first && at < end && seen.insert(&event.event_id) {
            let sku = event.sku.as_ref().and_then(|id| market.skus.iter().find(|sku| sku.id == *id));
            let cost = sku.map_or(0, |sku| sku.cost_minor) * event.quantity.unwrap_or(0);
            let value = event.value.map_or(0, |value| value.amount_minor);
            let day = at.day().since(first.day());
            margin += sign * (value - cost) as f64 * window.worth(f64::from(day));
        }
    }
    margin
}
