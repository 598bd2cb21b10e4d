//! The life of one customer, day by day: mood, decision, visit, order, and what of it is logged.
//!
//! A day runs in a fixed order (drift of mood, the legacy policy's decision, an unprompted visit, what an order does
//! to mood and stock), the same in which `truth` sums; the two must be changed together, and tests compare them.

use nextbest_models::customer::CustomerId;
use nextbest_models::event::EventType;
use nextbest_models::units::{Currency, DAY_MS, Seed, Timestamp};

use super::campaign::{OPTED_OUT, RESPONSE_DAYS};
use super::journal::{Entries, HOUR_MS, Journal, MINUTE_MS, Who, flag, late, number, text};
use super::market::Market;
use super::mood::{FATIGUE_DECAY, GONE, State, after_order, drift, used_up, visit};
use super::random::{Purpose, Stream};
use super::shopper::Shopper;
use super::shopping::{self, Occasion, day_ms, shopping_hour};
use super::takeover::{Errand, Takeover};
use super::traits::Traits;
use super::truth::{Outlook, Response, outlook, responses};

mod contact;
mod joining;

pub use contact::treatment_id;

/// One decision of the legacy policy, and what was true of it.
#[derive(Clone, Debug, PartialEq)]
pub struct DecisionRecord {
    /// Unique.
    pub decision_id: String,
    /// When.
    pub decided_at: Timestamp,
    /// Index into [`CAMPAIGNS`]; none: nothing was done.
    pub action: Option<usize>,
    /// Index into [`CHANNELS`], if something was done.
    pub channel: Option<usize>,
    /// Probability with which the policy chose this action and channel.
    pub choice_probability: f64,
    /// Probability with which it chose this action, through whatever channel.
    pub action_probability: f64,
    /// The hidden state it met.
    pub state: State,
    /// Whether an order followed within the response window; none where the window outlasts the log.
    pub ordered: Option<bool>,
    /// The true probabilities of that, by action.
    pub response: Response,
    /// The true probability under the action and channel chosen.
    pub p_chosen: f64,
}

/// The truth about a customer at the start of one day.
#[derive(Clone, Debug, PartialEq)]
pub struct StateRecord {
    /// Day since the log's start.
    pub age: usize,
    /// Hidden state.
    pub state: State,
    /// What is to come under the legacy policy.
    pub outlook: Outlook,
    /// What one contact on this day would do.
    pub response: Response,
}

/// All there is about one customer.
pub struct Life {
    /// The id.
    pub customer: CustomerId,
    /// Hidden traits.
    pub traits: Traits,
    /// What was logged.
    pub entries: Entries,
    /// Decisions about the customer, in time.
    pub decisions: Vec<DecisionRecord>,
    /// The truth on the stated days on which the customer had joined.
    pub states: Vec<StateRecord>,
    /// Day of leaving for good, since the log's start.
    pub gone: Option<usize>,
    /// Days with an order, one entry per order.
    pub orders: Vec<usize>,
}

/// What is common to all lives of one simulation.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Of the whole simulation.
    pub seed: Seed,
    /// First instant of the log, midnight UTC.
    pub start: Timestamp,
    /// Days logged.
    pub days: i32,
    /// Days since the start on which the truth is stated.
    pub truth_ages: Vec<usize>,
    /// What amounts are in.
    pub currency: Currency,
}

/// Lives the life of customer `id`, number `number`, under the legacy policy and, from its day on, under `takeover`, with
/// the contact of `errand` on its day.
#[must_use]
pub fn live(
    frame: &Frame,
    market: &Market,
    id: CustomerId,
    number: u64,
    takeover: Option<Takeover<'_>>,
    errand: Option<Errand>,
) -> Life {
    let traits = Traits::draw(frame.seed, number, frame.days);
    let mut stream = Stream::new(frame.seed, Purpose::Life, number);
    let state = first_state(&mut stream, &traits);
    let mut living = Living {
        frame,
        takeover,
        errand,
        journal: Journal::new(id, frame.start, frame.currency),
        shopper: Shopper::new(market, traits),
        stream,
        state,
        ordered_at: None,
        orders: Vec::new(),
        decisions: Vec::new(),
        states: Vec::new(),
        gone: None,
    };
    living.strangers();
    living.run();
    living.into_life()
}

fn first_state(stream: &mut Stream, traits: &Traits) -> State {
    let fatigue = if traits.consent { 0 } else { OPTED_OUT };
    if traits.joined >= 0 {
        return State { mood: 1, stock: 0, fatigue };
    }
    State { mood: stream.pick(&[0.2, 0.6, 0.08, 0.12]), stock: usize::from(stream.chance(0.4)), fatigue }
}

struct Living<'a, 'p> {
    frame: &'a Frame,
    takeover: Option<Takeover<'p>>,
    errand: Option<Errand>,
    shopper: Shopper<'a>,
    stream: Stream,
    journal: Journal,
    state: State,
    /// Time of the last order of the current day.
    ordered_at: Option<i64>,
    orders: Vec<usize>,
    decisions: Vec<DecisionRecord>,
    states: Vec<StateRecord>,
    gone: Option<usize>,
}

impl Living<'_, '_> {
    fn run(&mut self) {
        let days = usize::try_from(self.frame.days).unwrap_or(0);
        let first = usize::try_from(self.shopper.traits.joined).unwrap_or(0);
        if self.shopper.traits.joined < 0 {
            self.register(2 * MINUTE_MS);
        }
        for age in first..=days {
            // On the day of joining there is nothing to foresee yet.
            if self.frame.truth_ages.contains(&age) && self.has_joined_before(age) {
                let outlook = outlook(&mut self.shopper, self.state, age);
                let (response, _) = responses(&mut self.shopper, self.state, age);
                self.states.push(StateRecord { age, state: self.state, outlook, response });
            }
            if age < days {
                self.day(age);
            }
        }
    }

    fn has_joined_before(&self, age: usize) -> bool {
        i64::from(self.shopper.traits.joined) < i64::try_from(age).unwrap_or(i64::MAX)
    }

    fn day(&mut self, age: usize) {
        self.ordered_at = None;
        if !self.has_joined_before(age) {
            self.join(age);
        } else {
            self.drift(age);
            let errand = self.errand.filter(|errand| errand.age == age);
            if self.state.fatigue < OPTED_OUT {
                match errand {
                    Some(errand) => self.run_errand(errand),
                    None if self.shopper.decides(age) => self.decide(age),
                    None => {}
                }
            }
            if self.state.mood != GONE {
                let weight = self.shopper.market.visit_weight[age];
                let p = visit(&self.shopper.traits, weight, self.state.mood, self.state.stock);
                if self.stream.chance(p) {
                    self.shop(age, Occasion::Visit);
                }
            }
        }
        if self.state.mood != GONE {
            self.evening(age);
        }
    }

    /// A visit; returns when it ended in an order.
    fn shop(&mut self, age: usize, occasion: Occasion) -> Option<i64> {
        let mood = self.state.mood;
        let at =
            shopping::visit(&mut self.shopper, &mut self.journal, &mut self.stream, age, mood, occasion)?;
        self.ordered_at = Some(at);
        self.orders.push(age);
        Some(at)
    }

    fn drift(&mut self, age: usize) {
        if self.state.mood == GONE {
            return;
        }
        let weather = self.shopper.weather(age);
        let from = self.state.mood;
        self.state.mood = self.stream.pick(&drift(&weather, from));
        if self.state.mood == GONE {
            self.leave(age);
        } else if self.state.mood == 2 && from < 2 {
            let incident = self.stream.chance(weather.incident / (weather.incident + weather.anger));
            let (reason, p) = if incident { ("service", 0.6) } else { ("price", 0.1) };
            if self.stream.chance(p) {
                self.complain(day_ms(age), reason);
            }
        }
    }

    /// Half of those who leave say so, by withdrawing consent; the others fall silent.
    fn leave(&mut self, age: usize) {
        self.gone = Some(age);
        if self.state.fatigue < OPTED_OUT && self.stream.chance(0.5) {
            self.withdraw(day_ms(age) + 8 * HOUR_MS);
        }
    }

    fn withdraw(&mut self, at: i64) {
        self.state.fatigue = OPTED_OUT;
        let event = self.journal.add(&Who::Customer, EventType::ConsentChanged, at);
        flag(event, "marketing", false);
    }

    fn complain(&mut self, midnight: i64, reason: &str) {
        let at = midnight + 30 * MINUTE_MS + shopping_hour(&mut self.stream);
        let by_phone = self.stream.chance(0.4);
        let event = self.journal.add(&Who::Customer, EventType::SupportContacted, at);
        event.channel = Some(if by_phone { "phone" } else { "web" }.to_owned());
        text(event, "reason", reason);
        if by_phone {
            late(event, &mut self.stream, 1.0, 24.0);
        }
    }

    fn evening(&mut self, age: usize) {
        if let Some(at) = self.ordered_at {
            self.state.stock = 1;
            let weather = self.shopper.weather(age);
            let row = after_order(&weather, self.state.mood);
            self.state.mood = self.stream.pick(&row);
            // Of those who end up annoyed, the share that met trouble today rather than being annoyed before.
            if self.state.mood == 2 && self.stream.chance(0.7 * weather.order_trouble / row[2]) {
                let days = 1 + i64::try_from(self.stream.below(5)).unwrap_or(0);
                self.complain(day_ms(age) + days * DAY_MS, "delivery");
            }
            self.after_sale(at);
        } else if self.state.stock == 1 && self.stream.chance(used_up(&self.shopper.traits)) {
            self.state.stock = 0;
        }
        if (1..OPTED_OUT).contains(&self.state.fatigue) && self.stream.chance(FATIGUE_DECAY) {
            self.state.fatigue -= 1;
        }
    }

    /// Now and then an order is followed by an answer to a survey, or by a word to a friend.
    fn after_sale(&mut self, at: i64) {
        if self.stream.chance(0.06) {
            let later = at + (self.stream.between(3.0, 12.0) * DAY_MS as f64) as i64;
            self.answer_survey(later, None);
        }
        if self.state.mood == 0 && self.stream.chance(0.03) {
            self.refer(at + DAY_MS);
        }
    }

    fn answer_survey(&mut self, at: i64, decision_id: Option<&str>) {
        let level = [9.3, 7.8, 4.0, 6.0, 3.0][self.state.mood];
        let nps = (level + 1.3 * self.stream.normal()).round().clamp(0.0, 10.0);
        let event = self.journal.add(&Who::Customer, EventType::SurveyAnswered, at);
        event.channel = Some("email".to_owned());
        event.decision_id = decision_id.map(str::to_owned);
        number(event, "nps", nps);
        late(event, &mut self.stream, 0.0, 120.0);
    }

    fn refer(&mut self, at: i64) {
        self.journal.add(&Who::Customer, EventType::ReferralSent, at);
        if self.stream.chance(0.3) {
            let later = at + (self.stream.between(1.0, 20.0) * DAY_MS as f64) as i64;
            let event = self.journal.add(&Who::Customer, EventType::ReferralConverted, later);
            late(event, &mut self.stream, 1.0, 48.0);
        }
    }

    fn into_life(mut self) -> Life {
        let window = usize::try_from(RESPONSE_DAYS).unwrap_or(0);
        let days = usize::try_from(self.frame.days).unwrap_or(0);
        for decision in &mut self.decisions {
            let ms = decision.decided_at.as_millis() - self.frame.start.as_millis();
            let age = usize::try_from(ms / DAY_MS).unwrap_or(0);
            let followed = self.orders.iter().any(|order| (age..age + window).contains(order));
            decision.ordered = (age + window <= days).then_some(followed);
        }
        Life {
            customer: self.journal.customer.clone(),
            traits: self.shopper.traits,
            entries: self.journal.deliver(&mut self.stream, self.frame.days),
            decisions: self.decisions,
            states: self.states,
            gone: self.gone,
            orders: self.orders,
        }
    }
}
