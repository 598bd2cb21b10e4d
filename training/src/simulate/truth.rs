//! What is truly going to happen: probabilities summed over the hidden chain, never sampled.
//!
//! [`outlook`] carries the distribution over moods, stocks and fatigues forward day by day, [`Response`] carries the
//! probability of no order backward over the days in which a contact is answered. Both follow the day exactly as
//! `life` does: drift, decision, visit, order. The market's path is taken as known. What a contact more would add to the margin
//! to come stands in `saving`.

use super::campaign::{
    CAMPAIGNS, N_ACTIONS, OPTED_OUT, RESPONSE_DAYS, Situation, harm, harmed, mean_response, opt_out, response,
};
use super::mood::{FATIGUE_DECAY, GONE, N_MOODS, State, after_order, drift, used_up, visit};
use super::shopper::Shopper;

mod saving;

pub use saving::{Prospect, Window, lived_margin};

/// Horizons of [`outlook`], in days.
pub const HORIZONS_DAYS: [usize; 3] = [30, 60, 90];

/// Mass by mood, stock and fatigue.
type Mass = [[[f64; OPTED_OUT + 1]; 2]; N_MOODS];

/// What is to come for a customer, under the legacy policy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outlook {
    /// Probability of no order within each of [`HORIZONS_DAYS`].
    pub no_order: [f64; 3],
    /// Expected number of orders within each.
    pub orders: [f64; 3],
}

impl Outlook {
    /// Of someone who is gone.
    pub const GONE: Self = Self { no_order: [1.0; 3], orders: [0.0; 3] };
}

/// The outlook from `state` at the start of day `age`.
#[must_use]
pub fn outlook(shopper: &mut Shopper<'_>, state: State, age: usize) -> Outlook {
    let mut outlook = Outlook::GONE;
    if state.mood == GONE {
        return outlook;
    }
    let mut all: Mass = Mass::default();
    all[state.mood][state.stock][state.fatigue] = 1.0;
    let (mut silent, mut ordered, mut expected) = (all, 0.0, 0.0);
    let mut horizons = HORIZONS_DAYS.iter().enumerate().peekable();
    for day in 0..HORIZONS_DAYS[2] {
        let step = Step::new(shopper, age + day);
        expected += step.advance(&mut all, true);
        ordered += step.advance(&mut silent, false);
        if let Some((index, _)) = horizons.next_if(|(_, horizon)| **horizon == day + 1) {
            outlook.no_order[index] = 1.0 - ordered;
            outlook.orders[index] = expected;
        }
    }
    outlook
}

/// The laws of one day for one customer.
struct Step<'s, 'a> {
    shopper: &'s Shopper<'a>,
    drift: [[f64; N_MOODS + 1]; N_MOODS],
    after_order: [[f64; N_MOODS]; N_MOODS],
    visit: [[f64; 2]; N_MOODS],
    buy: [f64; N_MOODS],
    used_up: f64,
    decides: bool,
}

impl<'s, 'a> Step<'s, 'a> {
    fn new(shopper: &'s mut Shopper<'a>, age: usize) -> Self {
        let (view, weather) = (shopper.view(age), shopper.weather(age));
        let (traits, weight) = (&shopper.traits, shopper.market.visit_weight[age]);
        Self {
            drift: std::array::from_fn(|mood| drift(&weather, mood)),
            after_order: std::array::from_fn(|mood| after_order(&weather, mood)),
            visit: std::array::from_fn(|mood| std::array::from_fn(|k| visit(traits, weight, mood, k))),
            buy: view.buy,
            used_up: used_up(traits),
            decides: shopper.decides(age),
            shopper,
        }
    }

    /// Moves `mass` through the day and returns the expected number of orders. With `keep` the mass that ordered goes
    /// on; without, it leaves, so that what returns is the probability of a first order today.
    fn advance(&self, mass: &mut Mass, keep: bool) -> f64 {
        let mut waiting = self.drifted(mass);
        let mut buyers = Mass::default();
        let mut orders = if self.decides { self.decide(&mut waiting, &mut buyers) } else { 0.0 };
        if !keep {
            buyers = Mass::default();
        }
        for mood in 0..N_MOODS {
            for stock in 0..2 {
                let p = self.visit[mood][stock] * self.buy[mood];
                for fatigue in 0..=OPTED_OUT {
                    let bought = p * waiting[mood][stock][fatigue];
                    // Who has already ordered today may do so again.
                    orders += bought + p * buyers[mood][stock][fatigue];
                    waiting[mood][stock][fatigue] -= bought;
                    buyers[mood][stock][fatigue] += if keep { bought } else { 0.0 };
                }
            }
        }
        *mass = self.evening(&waiting, &buyers);
        orders
    }

    fn drifted(&self, mass: &Mass) -> Mass {
        let mut out = Mass::default();
        for (mood, row) in self.drift.iter().enumerate() {
            for (to, p) in row.iter().take(N_MOODS).enumerate() {
                for stock in 0..2 {
                    for fatigue in 0..=OPTED_OUT {
                        out[to][stock][fatigue] += p * mass[mood][stock][fatigue];
                    }
                }
            }
        }
        out
    }

    /// One decision of the legacy policy for all mass that may be contacted.
    fn decide(&self, waiting: &mut Mass, buyers: &mut Mass) -> f64 {
        let before = *waiting;
        let mut orders = 0.0;
        for (mood, by_stock) in before.iter().enumerate() {
            for (stock, by_fatigue) in by_stock.iter().enumerate() {
                for (fatigue, &m) in by_fatigue.iter().take(OPTED_OUT).enumerate() {
                    let odds = self.shopper.contact[mood][stock][fatigue];
                    let contacted = odds.ignored + odds.harmed + odds.came;
                    let (leave, tired) = (opt_out(fatigue), (fatigue + 1).min(OPTED_OUT - 1));
                    waiting[mood][stock][fatigue] -= m * contacted;
                    let bought = odds.came * self.buy[mood];
                    orders += m * bought;
                    for (f, share) in [(OPTED_OUT, leave), (tired, 1.0 - leave)] {
                        waiting[mood][stock][f] += m * share * (odds.ignored + odds.came - bought);
                        buyers[mood][stock][f] += m * share * bought;
                        let to = harmed(mood);
                        if to != GONE {
                            waiting[to][stock][f] += m * share * odds.harmed;
                        }
                    }
                }
            }
        }
        orders
    }

    /// After the shop has closed: moods follow orders, stock is used up, fatigue fades.
    fn evening(&self, waiting: &Mass, buyers: &Mass) -> Mass {
        let mut moved = Mass::default();
        for mood in 0..N_MOODS {
            for fatigue in 0..=OPTED_OUT {
                let [bare, stocked] = [waiting[mood][0][fatigue], waiting[mood][1][fatigue]];
                moved[mood][0][fatigue] += bare + self.used_up * stocked;
                moved[mood][1][fatigue] += (1.0 - self.used_up) * stocked;
                let bought = buyers[mood][0][fatigue] + buyers[mood][1][fatigue];
                for (to, p) in self.after_order[mood].iter().enumerate() {
                    moved[to][1][fatigue] += p * bought;
                }
            }
        }
        for by_fatigue in moved.iter_mut().flatten() {
            let [f0, f1, f2, out] = *by_fatigue;
            *by_fatigue = [
                f0 + FATIGUE_DECAY * f1,
                (1.0 - FATIGUE_DECAY) * f1 + FATIGUE_DECAY * f2,
                (1.0 - FATIGUE_DECAY) * f2,
                out,
            ];
        }
        moved
    }
}

/// The probabilities of an order within [`RESPONSE_DAYS`] of a decision (the day itself included).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Response {
    /// If nothing is done.
    pub no_action: f64,
    /// If each of the ten actions is taken, through a channel drawn as the legacy policy draws it.
    pub action: [f64; N_ACTIONS],
}

/// Probability of no unprompted order from the visit of day `age` on, by mood (1 for gone) and stock.
pub type Silence = [[f64; 2]; N_MOODS + 1];

/// [`Response`] of a customer in `state` when day `age` comes to its decision, and the silence it was made from.
#[must_use]
pub fn responses(shopper: &mut Shopper<'_>, state: State, age: usize) -> (Response, Silence) {
    let silence = silence(shopper, age);
    if state.mood == GONE {
        return (Response { no_action: 0.0, action: [0.0; N_ACTIONS] }, silence);
    }
    let buy = shopper.buy(age, state.mood);
    let traits = &shopper.traits;
    let at = Situation { mood: state.mood, stock: state.stock, fatigue: state.fatigue.min(OPTED_OUT - 1) };
    let action = std::array::from_fn(|action| {
        let came = mean_response(traits, action, at);
        order_probability(&silence, at, came, harm(traits, action, at.fatigue), buy)
    });
    (Response { no_action: 1.0 - silence[state.mood][state.stock], action }, silence)
}

/// The same for one action through one channel.
#[must_use]
pub fn response_through(
    shopper: &mut Shopper<'_>,
    silence: &Silence,
    at: Situation,
    age: usize,
    action: usize,
    channel: usize,
) -> f64 {
    let buy = shopper.buy(age, at.mood);
    let traits = &shopper.traits;
    debug_assert!(action < CAMPAIGNS.len());
    order_probability(
        silence,
        at,
        response(traits, action, channel, at),
        harm(traits, action, at.fatigue),
        buy,
    )
}

/// 1 - \[r (1 - b) N(m) + (1 - r) ((1 - h) N(m) + h N(m'))\] with r = `came`, b = `buy`, h = `harm`.
pub(super) fn order_probability(silence: &Silence, at: Situation, came: f64, harm: f64, buy: f64) -> f64 {
    let (here, there) = (silence[at.mood][at.stock], silence[harmed(at.mood)][at.stock]);
    1.0 - (came * (1.0 - buy) * here + (1.0 - came) * ((1.0 - harm) * here + harm * there))
}

fn silence(shopper: &mut Shopper<'_>, age: usize) -> Silence {
    let days = usize::try_from(RESPONSE_DAYS).unwrap_or(0);
    // Value at the start of the day after the last: nothing can happen any more.
    let mut morning: Silence = [[1.0; 2]; N_MOODS + 1];
    for day in (0..days).rev() {
        let step = Step::new(shopper, age + day);
        let mut noon: Silence = [[1.0; 2]; N_MOODS + 1];
        for mood in 0..N_MOODS {
            let [bare, stocked] = morning[mood];
            let next = [bare, step.used_up * bare + (1.0 - step.used_up) * stocked];
            noon[mood] = std::array::from_fn(|k| (1.0 - step.visit[mood][k] * step.buy[mood]) * next[k]);
        }
        if day == 0 {
            return noon;
        }
        for (mood, row) in step.drift.iter().enumerate() {
            for stock in 0..2 {
                morning[mood][stock] = row.iter().zip(&noon).map(|(p, to)| p * to[stock]).sum();
            }
        }
    }
    morning
}
