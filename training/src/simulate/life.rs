//! The life of one customer, day by day: mood, decision, visit, order, and what of it is logged.
//!
//! A day runs in a fixed order (drift of mood, the legacy policy's decision, an unprompted visit, what an order does
//! to mood and stock), the same in which `truth` sums; the two must be changed together, and tests compare them.

use nextbest_models::customer::CustomerId;
use nextbest_models::event::EventType;
use nextbest_models::units::{Currency, DAY_MS, Seed, Timestamp};

use super::campaign::{
    CAMPAIGNS, CHANNELS, NO_ACTION, OPTED_OUT, RESPONSE_DAYS, Situation, harm, harmed, legacy_channels,
    opt_out, pull,
};
use super::journal::{Entries, HOUR_MS, Journal, MINUTE_MS, Who, flag, late, number, text};
use super::market::Market;
use super::mood::{FATIGUE_DECAY, GONE, State, after_order, drift, used_up, visit};
use super::random::{Purpose, Stream};
use super::shopper::Shopper;
use super::shopping::{self, Occasion, day_ms, look, shopping_hour};
use super::traits::{AGES, COUNTRIES, Traits};
use super::truth::{Outlook, Response, outlook, response_through, responses};

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

/// Lives the life of customer `id`, number `number`.
#[must_use]
pub fn live(frame: &Frame, market: &Market, id: CustomerId, number: u64) -> Life {
    let traits = Traits::draw(frame.seed, number, frame.days);
    let mut stream = Stream::new(frame.seed, Purpose::Life, number);
    let state = first_state(&mut stream, &traits);
    let mut living = Living {
        frame,
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

struct Living<'a> {
    frame: &'a Frame,
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

impl Living<'_> {
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
            if self.shopper.decides(age) && self.state.fatigue < OPTED_OUT {
                self.decide(age);
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
}

/// Joining and what comes before it.
impl Living<'_> {
    fn join(&mut self, age: usize) {
        let visitor = format!("A{:016x}", self.stream.bits());
        for _ in 0..self.stream.below(4) {
            let ago = 1 + self.stream.exponential(4.0) as usize;
            if let Some(earlier) = age.checked_sub(ago) {
                self.look_around(&visitor, earlier);
            }
        }
        let at = day_ms(age) + 7 * HOUR_MS;
        let event = self.journal.add(&Who::Customer, EventType::Identified, at);
        event.anonymous_id = Some(visitor);
        self.register(at + MINUTE_MS);
        self.shop(age, Occasion::Joining);
    }

    fn register(&mut self, at: i64) {
        let traits = &self.shopper.traits;
        let since = self.frame.start.plus_days(traits.joined);
        let event = self.journal.add(&Who::Customer, EventType::AttributeSet, at);
        text(event, "age_band", AGES[traits.age_band]);
        text(event, "country", COUNTRIES[traits.country]);
        text(event, "preferred_channel", CHANNELS[traits.recorded_channel]);
        text(event, "customer_since", &since.day().to_string());
        let event = self.journal.add(&Who::Customer, EventType::ConsentChanged, at + MINUTE_MS);
        flag(event, "marketing", traits.consent);
    }

    /// A visitor who is not (yet) known looks at one or two things.
    fn look_around(&mut self, visitor: &str, age: usize) {
        let market = self.shopper.market;
        let who = Who::Anonymous(visitor.to_owned());
        let session = self.journal.session(&who);
        let mut at = day_ms(age) + shopping_hour(&mut self.stream);
        let event = self.journal.add(&who, EventType::PageViewed, at);
        event.session_id = Some(session.clone());
        event.channel = Some("web".to_owned());
        for _ in 0..1 + self.stream.below(2) {
            at += 2 * MINUTE_MS;
            let sku = self.stream.below(market.skus.len());
            look(&mut self.journal, &who, market, age, sku, &session, "web", at);
        }
    }

    /// Visitors who stay unknown for good, so many per customer that they are a small part of the log.
    fn strangers(&mut self) {
        if self.stream.chance(0.25) {
            let visitor = format!("A{:016x}", self.stream.bits());
            let days = usize::try_from(self.frame.days).unwrap_or(1);
            let age = self.stream.below(days);
            self.look_around(&visitor, age);
        }
    }
}

/// Decisions of the legacy policy.
impl Living<'_> {
    fn decide(&mut self, age: usize) {
        let (response, silence) = responses(&mut self.shopper, self.state, age);
        let traits = &self.shopper.traits;
        let at = day_ms(age) + 6 * HOUR_MS + (self.stream.uniform() * HOUR_MS as f64) as i64;
        let decision_id = self.journal.decision();
        let mut weights = vec![NO_ACTION];
        weights.extend(traits.legacy);
        let arm = self.stream.pick(&weights);
        let channels = legacy_channels(traits.recorded_channel);
        let channel = self.stream.pick(&channels);
        let (action, p_chosen, choice_probability) = match arm.checked_sub(1) {
            None => (None, response.no_action, NO_ACTION),
            Some(action) => {
                let p = self.p_chosen(&silence, age, action, channel);
                (Some(action), p, weights[arm] * channels[channel])
            }
        };
        self.decisions.push(DecisionRecord {
            decision_id: decision_id.clone(),
            decided_at: self.journal.instant(at),
            action,
            channel: action.map(|_| channel),
            choice_probability,
            action_probability: weights[arm],
            state: self.state,
            ordered: None,
            response,
            p_chosen,
        });
        if let Some(action) = action {
            let contact = Contact { age, at, action, channel, decision_id, choice_probability };
            self.contact(&contact);
        }
    }

    fn p_chosen(
        &mut self,
        silence: &super::truth::Silence,
        age: usize,
        action: usize,
        channel: usize,
    ) -> f64 {
        if self.state.mood == GONE {
            return 0.0;
        }
        let at = self.situation();
        response_through(&mut self.shopper, silence, at, age, action, channel)
    }

    fn situation(&self) -> Situation {
        Situation { mood: self.state.mood, stock: self.state.stock, fatigue: self.state.fatigue }
    }

    fn contact(&mut self, contact: &Contact) {
        contact.note(&mut self.journal, EventType::Contacted, contact.at, true);
        let gone = self.state.mood == GONE;
        let read = if gone { 0.02 } else { self.shopper.traits.read[contact.channel] };
        let seen = self.stream.chance(read);
        let later = contact.at + HOUR_MS + (self.stream.between(0.0, 9.0) * HOUR_MS as f64) as i64;
        if seen {
            contact.note(&mut self.journal, EventType::Impression, later, false);
        }
        let came =
            seen && !gone && self.stream.chance(pull(&self.shopper.traits, contact.action, self.situation()));
        let mut taken = None;
        if came {
            contact.note(&mut self.journal, EventType::Clicked, later + MINUTE_MS, false);
            taken = self.shop(contact.age, Occasion::Campaign(later + 2 * MINUTE_MS));
        }
        self.outcome(contact, later, seen, taken);
        self.afterthought(contact, later, seen);
        let fatigue = self.state.fatigue;
        let put_off = !came && self.stream.chance(harm(&self.shopper.traits, contact.action, fatigue));
        let p = if gone { 0.2 } else { opt_out(fatigue) };
        self.state.fatigue = (fatigue + 1).min(OPTED_OUT - 1);
        if self.stream.chance(p) {
            self.withdraw(later + 5 * MINUTE_MS);
        }
        if put_off && !gone {
            self.state.mood = harmed(self.state.mood);
            if self.state.mood == GONE {
                self.leave(contact.age);
            }
        }
    }

    /// The one answer to a contact: accepted, rejected or, when the window has passed, not taken.
    fn outcome(&mut self, contact: &Contact, later: i64, seen: bool, taken: Option<i64>) {
        let (kind, at) = match taken {
            Some(at) => (EventType::Accepted, at),
            None if seen && self.stream.chance(0.12) => (EventType::Rejected, later + 3 * MINUTE_MS),
            None => (EventType::NotTaken, contact.at + i64::from(RESPONSE_DAYS) * DAY_MS),
        };
        contact.note(&mut self.journal, kind, at, false);
    }

    /// A survey that was read may be answered, a request to refer a friend followed.
    fn afterthought(&mut self, contact: &Contact, later: i64, seen: bool) {
        match CAMPAIGNS[contact.action].id {
            "survey" if seen && self.stream.chance(0.4) => {
                self.answer_survey(later + 10 * MINUTE_MS, Some(&contact.decision_id));
            }
            "referral" if seen && self.state.mood == 0 && self.stream.chance(0.25) => {
                self.refer(later + 10 * MINUTE_MS);
            }
            _ => {}
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

/// A contact on its way.
struct Contact {
    age: usize,
    at: i64,
    action: usize,
    channel: usize,
    decision_id: String,
    choice_probability: f64,
}

impl Contact {
    fn note(&self, journal: &mut Journal, kind: EventType, at: i64, with_probability: bool) {
        let event = journal.add(&Who::Customer, kind, at);
        let (action, channel) = (CAMPAIGNS[self.action].action_id, CHANNELS[self.channel]);
        event.channel = Some(channel.to_owned());
        event.decision_id = Some(self.decision_id.clone());
        event.action_id = Some(action.to_owned());
        event.treatment_id = Some(treatment_id(self.action, self.channel));
        if with_probability {
            number(event, "choice_probability", self.choice_probability);
            text(event, "campaign_type", CAMPAIGNS[self.action].id);
            text(event, "policy", "legacy-1");
        }
    }
}

/// `newsletter_email`.
#[must_use]
pub fn treatment_id(action: usize, channel: usize) -> String {
    format!("{}_{}", CAMPAIGNS[action].action_id, CHANNELS[channel])
}
