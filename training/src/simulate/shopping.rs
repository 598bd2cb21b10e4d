//! A visit to the shop: trips through categories, a choice among SKUs at today's prices, an order or none.
//!
//! On each trip the customer takes one SKU of the category or nothing, by a multinomial logit over posted prices
//! (McFadden 1974), so that a dearer SKU sends some buyers to its neighbours and some home.

use nextbest_models::event::{EventType, Reference};
use nextbest_models::units::DAY_MS;

use super::catalogue::SKUS_PER_CATEGORY;
use super::journal::{HOUR_MS, Journal, MINUTE_MS, Who, late, number, text};
use super::market::{Market, skus_of};
use super::mood::{TRIPS, mood_factor, sku_weights};
use super::random::Stream;
use super::shopper::Shopper;

/// Why the customer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// Unprompted.
    Visit,
    /// To join; the first trip always ends in a purchase.
    Joining,
    /// Following a campaign, this many milliseconds after the start.
    Campaign(i64),
}

/// One line of an order.
struct Line {
    sku: usize,
    quantity: i64,
}

/// A time of day at which people shop, in milliseconds: from 07:30 to 23:00, most in the evening.
pub fn shopping_hour(stream: &mut Stream) -> i64 {
    let quarter = stream.pick(&[1.0, 1.5, 1.5, 1.2, 1.8, 2.6, 2.2]);
    ((7.5 + 2.2 * (quarter as f64 + stream.uniform())) * HOUR_MS as f64) as i64
}

/// One visit on day `age` in `mood` (0 ..= 3), written to the journal; returns when it ended in an order.
pub fn visit(
    shopper: &mut Shopper<'_>,
    journal: &mut Journal,
    stream: &mut Stream,
    age: usize,
    mood: usize,
    occasion: Occasion,
) -> Option<i64> {
    let (market, view) = (shopper.market, shopper.view(age));
    let mut at = match occasion {
        Occasion::Campaign(at) => at,
        _ => day_ms(age) + shopping_hour(stream),
    };
    let by_phone = matches!(occasion, Occasion::Visit) && stream.chance(0.08);
    let channel = if by_phone {
        "phone"
    } else if stream.chance(0.3) {
        "app"
    } else {
        "web"
    };
    let mut desk = Desk { market, journal, age, session: String::new(), channel };
    desk.session = desk.journal.session(&Who::Customer);
    if !by_phone {
        desk.note(EventType::PageViewed, at, None);
    }
    let mut lines = Vec::new();
    let n_trips = 1 + stream.pick(&TRIPS);
    for trip in 0..n_trips {
        let category = stream.pick(&view.category);
        let weights = sku_weights(market, market.week(age), &shopper.traits, category);
        let bound = occasion == Occasion::Joining && trip == 0;
        let taken = choose(stream, &weights, mood_factor(mood), bound);
        if !by_phone {
            at = desk.browse(stream, at, category, &weights, taken);
        }
        if let Some(sku) = taken {
            let quantity = 1 + stream.exponential(shopper.traits.extra_units) as i64;
            lines.push(Line { sku: skus_of(category).start + sku, quantity: quantity.min(20) });
        }
    }
    if lines.is_empty() { None } else { Some(desk.order(stream, at, &lines, by_phone)) }
}

/// Milliseconds from the start of the log to the start of day `age`.
#[must_use]
pub fn day_ms(age: usize) -> i64 {
    i64::try_from(age).unwrap_or(0) * DAY_MS
}

/// The SKU taken, or none; `bound` means that nothing is no choice.
fn choose(
    stream: &mut Stream,
    weights: &[f64; SKUS_PER_CATEGORY],
    factor: f64,
    bound: bool,
) -> Option<usize> {
    let mut all = [0.0; SKUS_PER_CATEGORY + 1];
    for (to, weight) in all.iter_mut().zip(weights) {
        *to = weight * factor;
    }
    all[SKUS_PER_CATEGORY] = if bound { 0.0 } else { 1.0 };
    let place = stream.pick(&all);
    (place < SKUS_PER_CATEGORY).then_some(place)
}

/// The place where one visit is written down.
struct Desk<'d> {
    market: &'d Market,
    journal: &'d mut Journal,
    age: usize,
    session: String,
    channel: &'static str,
}

impl Desk<'_> {
    fn note(&mut self, kind: EventType, at: i64, sku: Option<usize>) {
        let market = self.market;
        let event = self.journal.add(&Who::Customer, kind, at);
        event.session_id = Some(self.session.clone());
        event.channel = Some(self.channel.to_owned());
        event.sku = sku.map(|sku| market.skus[sku].id.clone());
    }

    /// Looks at what will be taken (or at something popular), perhaps at a second SKU; fills the cart or leaves it.
    fn browse(
        &mut self,
        stream: &mut Stream,
        start: i64,
        category: usize,
        weights: &[f64; SKUS_PER_CATEGORY],
        taken: Option<usize>,
    ) -> i64 {
        let first = skus_of(category).start;
        let mut at = start;
        let second = stream.chance(0.12).then(|| stream.pick(weights));
        let main = taken.unwrap_or_else(|| stream.pick(weights));
        for place in second.into_iter().chain([main]) {
            at += pause(stream);
            look(
                self.journal,
                &Who::Customer,
                self.market,
                self.age,
                first + place,
                &self.session,
                self.channel,
                at,
            );
        }
        if taken.is_some() || stream.chance(0.12) {
            at += pause(stream);
            self.note(EventType::CartAdded, at, Some(first + main));
        }
        at
    }

    /// Places the order, one event a line, and lets some of it come back; returns its time.
    fn order(&mut self, stream: &mut Stream, start: i64, lines: &[Line], by_phone: bool) -> i64 {
        let mut at = start + pause(stream);
        if !by_phone {
            self.note(EventType::CheckoutStarted, at, None);
            at += pause(stream);
        }
        let order = self.journal.order();
        let lag = by_phone.then(|| stream.between(2.0, 72.0));
        // A phone order may become known days later; its cancellation comes after that.
        let cancelled = stream.chance(0.03).then(|| lag.unwrap_or(0.0) + stream.between(0.2, 36.0));
        for line in lines {
            self.line(stream, at, line, &order, lag, cancelled);
        }
        at
    }

    fn line(
        &mut self,
        stream: &mut Stream,
        at: i64,
        line: &Line,
        order: &str,
        lag: Option<f64>,
        cancelled: Option<f64>,
    ) {
        let price = self.market.week(self.age).offers[line.sku].price_minor;
        let trouble = self.market.trouble[self.age];
        let value = self.journal.money(price * line.quantity);
        self.note(EventType::OrderPlaced, at, Some(line.sku));
        let Some(event) = self.journal.last() else { return };
        event.quantity = Some(line.quantity);
        event.value = Some(value);
        text(event, "order_id", order);
        if let Some(hours) = lag {
            late(event, stream, hours, hours);
        }
        let (event_id, occurred_at) = (event.event_id.clone(), event.occurred_at);
        let (kind, back, hours, lag) = match cancelled {
            Some(hours) => (EventType::OrderCancelled, line.quantity, hours, (0.0, 12.0)),
            None if stream.chance((0.04 * trouble).min(0.3)) => {
                let back = 1 + stream.below(usize::try_from(line.quantity).unwrap_or(1));
                let hours = stream.between(4.0 * 24.0, 25.0 * 24.0);
                (EventType::Refunded, i64::try_from(back).unwrap_or(1), hours, (12.0, 96.0))
            }
            None => return,
        };
        let when = at + (hours * HOUR_MS as f64) as i64;
        let value = self.journal.money(price * back);
        self.note(kind, when, Some(line.sku));
        let Some(event) = self.journal.last() else { return };
        event.session_id = None;
        event.quantity = Some(back);
        event.value = Some(value);
        event.refers_to = Some(Reference { event_id, occurred_at, whole: back == line.quantity });
        text(event, "order_id", order);
        late(event, stream, lag.0, lag.1);
    }
}

/// Between half a minute and four minutes.
fn pause(stream: &mut Stream) -> i64 {
    stream.between(0.5 * MINUTE_MS as f64, 4.0 * MINUTE_MS as f64) as i64
}

/// Somebody looks at a SKU and sees its price.
#[expect(clippy::too_many_arguments, reason = "a row to be written: who, what, where and when")]
pub fn look(
    journal: &mut Journal,
    who: &Who,
    market: &Market,
    age: usize,
    sku: usize,
    session: &str,
    channel: &str,
    at: i64,
) {
    let offer = &market.week(age).offers[sku];
    let price = journal.money(offer.price_minor);
    for kind in [EventType::ProductViewed, EventType::PriceShown] {
        let event = journal.add(who, kind, at);
        event.session_id = Some(session.to_owned());
        event.channel = Some(channel.to_owned());
        event.sku = Some(market.skus[sku].id.clone());
        if kind == EventType::PriceShown {
            event.quantity = Some(1);
            event.value = Some(price);
            text(event, "price_rule", offer.rule.as_str());
            number(event, "list_price_minor", market.skus[sku].list_price_minor as f64);
        }
    }
}
