//! Response models: P(outcome | customer, action, channel), learned from contacts and what became of them.
//!
//! A model of a `[responses.NAME]` reads a customer's features and, behind them, the columns of one offer: which action
//! through which channel, and how this customer took to such offers before. The same code fills them for the contacts it
//! is fitted on and for the offers it is asked of. An action or a channel that the model never saw has a code of its own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::contact::PastContact;
use crate::customer::contacts::Reply;
use crate::project::ResponseRule;
use crate::units::{DAY_MS, Timestamp};

/// The columns of an offer, behind the features: two codes, then counts over [`WINDOW_DAYS`] and an age in days. A new one
/// comes last: a model reads as many of them as there were when it learned.
pub const OFFER_COLUMNS: [&str; 13] = [
    "offer_action",
    "offer_channel",
    "offer_contacts_30d",
    "offer_days_since_contact",
    "offer_contacts",
    "offer_answered",
    "offer_action_contacts",
    "offer_action_answered",
    "offer_channel_contacts",
    "offer_channel_answered",
    "offer_seen",
    "offer_action_seen",
    "offer_channel_seen",
];

/// How many of [`OFFER_COLUMNS`] are codes; they come first.
pub const N_CODES: usize = 2;
/// How far back answers are counted, in days.
pub const WINDOW_DAYS: i32 = 365;
const FATIGUE_DAYS: i32 = 30;

/// The actions and channels that a response model was fitted on. A code is the place in the list; what is not listed has
/// the code behind the last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferCodes {
    actions: Vec<String>,
    channels: Vec<String>,
}

impl OfferCodes {
    /// Of these actions and channels, in any order.
    pub fn new(
        actions: impl IntoIterator<Item = String>,
        channels: impl IntoIterator<Item = String>,
    ) -> Self {
        let sorted = |names: &mut Vec<String>| {
            names.sort_unstable();
            names.dedup();
        };
        let (mut actions, mut channels): (Vec<_>, Vec<_>) =
            (actions.into_iter().collect(), channels.into_iter().collect());
        sorted(&mut actions);
        sorted(&mut channels);
        Self { actions, channels }
    }

    /// The actions, by code.
    #[must_use]
    pub fn actions(&self) -> &[String] {
        &self.actions
    }

    /// The channels, by code.
    #[must_use]
    pub fn channels(&self) -> &[String] {
        &self.channels
    }

    /// Whether `action` has a code of its own.
    #[must_use]
    pub fn knows(&self, action: &str) -> bool {
        self.actions.binary_search_by(|known| known.as_str().cmp(action)).is_ok()
    }

    /// The two codes of an offer.
    #[must_use]
    pub fn of(&self, action: &str, channel: &str) -> [f64; N_CODES] {
        let code = |names: &[String], name: &str| {
            let at = names.binary_search_by(|known| known.as_str().cmp(name)).unwrap_or(names.len());
            f64::from(u32::try_from(at).unwrap_or(u32::MAX))
        };
        [code(&self.actions, action), code(&self.channels, channel)]
    }
}

/// What a response model is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseSpec {
    /// What it predicts.
    pub rule: ResponseRule,
    /// What it learned it of.
    pub codes: OfferCodes,
    /// Contacts it learned from, by action: its evidence of a young one.
    #[serde(default)]
    pub n_contacts: BTreeMap<String, u64>,
    /// How many of [`OFFER_COLUMNS`] it reads.
    #[serde(default = "first_columns")]
    pub n_columns: usize,
}

/// As many as there were before a model said how many it reads.
const fn first_columns() -> usize {
    10
}

/// What an offer is made of, by the hashes under which contacts know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfferKey {
    /// [`stable_hash`](crate::customer::stable_hash) of the action's id.
    pub action: u64,
    /// [`stable_hash`](crate::customer::stable_hash) of the channel.
    pub channel: u64,
}

impl ResponseSpec {
    /// Of `rule`, learned of `codes` by all columns there are.
    #[must_use]
    pub const fn new(rule: ResponseRule, codes: OfferCodes) -> Self {
        Self { rule, codes, n_contacts: BTreeMap::new(), n_columns: OFFER_COLUMNS.len() }
    }

    /// Appends the columns of an offer of `action` through `channel` at `now` to `row`, as many as the model reads;
    /// `contacts` are the customer's up to `now`, in any order. The days since the last contact are NaN where there was
    /// none within [`WINDOW_DAYS`].
    pub fn append(
        &self,
        (action, channel): (&str, &str),
        key: OfferKey,
        contacts: &[PastContact],
        now: Timestamp,
        row: &mut Vec<f64>,
    ) {
        let n_before = row.len();
        append(self.codes.of(action, channel), key, contacts, now, row);
        row.truncate(n_before + self.n_columns);
    }
}

/// Appends all [`OFFER_COLUMNS`].
fn append(
    codes: [f64; N_CODES],
    key: OfferKey,
    contacts: &[PastContact],
    now: Timestamp,
    row: &mut Vec<f64>,
) {
    let (since, lately) = (now.plus_days(-WINDOW_DAYS), now.plus_days(-FATIGUE_DAYS));
    let (mut n_lately, mut latest) = (0_u32, None);
    let mut tallies = [Tally::default(); 3];
    for contact in contacts.iter().filter(|contact| contact.at >= since) {
        n_lately += u32::from(contact.at >= lately);
        latest = latest.max(Some(contact.at));
        let of = [true, contact.action == Some(key.action), contact.channel == Some(key.channel)];
        let counted = tallies.iter_mut().zip(of).filter(|(_, counts)| *counts);
        counted.for_each(|(tally, _)| tally.add(contact));
    }
    row.extend(codes);
    row.push(f64::from(n_lately));
    #[expect(clippy::cast_precision_loss, reason = "a year in milliseconds stays far below 2^53")]
    let days = |at: Timestamp| (now.as_millis() - at.as_millis()) as f64 / DAY_MS as f64;
    row.push(latest.map_or(f64::NAN, days));
    for Tally { n_contacts, n_answered, .. } in tallies {
        row.extend([n_contacts, n_answered].map(f64::from));
    }
    row.extend(tallies.map(|tally| f64::from(tally.n_seen)));
}

#[derive(Clone, Copy, Default)]
struct Tally {
    n_contacts: u32,
    n_seen: u32,
    n_answered: u32,
}

impl Tally {
    /// Counts a contact whose answer is known or overdue; one that is still open says nothing yet.
    fn add(&mut self, contact: &PastContact) {
        let is_over = contact.reply != Reply::Pending;
        self.n_contacts += u32::from(is_over);
        self.n_seen += u32::from(is_over && contact.seen);
        self.n_answered += u32::from(contact.reply == Reply::Answered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_do_not_depend_on_the_order_and_strangers_come_last() {
        let codes = OfferCodes::new(["b".to_owned(), "a".to_owned(), "b".to_owned()], ["web".to_owned()]);
        assert_eq!(codes.of("b", "web"), [1.0, 0.0]);
        assert_eq!(codes.of("new", "post"), [2.0, 1.0]);
        assert!(codes.knows("a") && !codes.knows("new"));
    }

    /// Nine counts, all of them different: none can stand in another's place.
    #[test]
    fn an_offer_counts_what_was_like_it() {
        let day = |days: i64| Timestamp::from_millis(0).unwrap().plus_millis(days * DAY_MS);
        let contact = |at, (action, channel), seen, reply| PastContact {
            at: day(at),
            action: Some(action),
            channel: Some(channel),
            seen,
            reply,
            replied_at: day(at),
        };
        let (own, other_channel, other_action) = ((1, 1), (1, 2), (2, 1));
        let mut contacts = vec![
            contact(1, own, true, Reply::Answered), // over a year ago
            contact(398, own, true, Reply::Pending),
        ];
        // By channel 9 contacts, 6 seen, 3 answered; by the action 8, 5 and 2; in all 14, 10 and 4.
        let add = |contacts: &mut Vec<PastContact>, of, n_contacts: i64, n_seen: i64, n_answered: i64| {
            contacts.extend((0..n_contacts).map(|nth| {
                let reply = if nth < n_answered { Reply::Answered } else { Reply::Ignored };
                contact(100 + nth, of, nth < n_seen, reply)
            }));
        };
        add(&mut contacts, own, 3, 1, 1);
        add(&mut contacts, other_channel, 5, 4, 1);
        add(&mut contacts, other_action, 6, 5, 2);
        let mut row = vec![7.0];
        append([3.0, 4.0], OfferKey { action: 1, channel: 1 }, &contacts, day(400), &mut row);
        assert_eq!(row, [7.0, 3.0, 4.0, 1.0, 2.0, 14.0, 4.0, 8.0, 2.0, 9.0, 3.0, 10.0, 5.0, 6.0]);
        assert_eq!(row.len(), 1 + OFFER_COLUMNS.len());
        row.clear();
        append([0.0, 0.0], OfferKey { action: 1, channel: 1 }, &[], day(400), &mut row);
        assert!(row[3].is_nan());
    }

    #[test]
    fn a_model_of_before_reads_the_columns_of_before() {
        let spec = r#"{ "rule": { "event": ["accepted"], "horizon_days": 7 }, "codes": { "actions": ["a"], "channels": ["web"] } }"#;
        let spec: ResponseSpec = serde_json::from_str(spec).unwrap();
        let mut row = vec![7.0];
        let key = OfferKey { action: 1, channel: 1 };
        spec.append(("a", "web"), key, &[], Timestamp::from_millis(0).unwrap(), &mut row);
        assert_eq!(row.len(), 1 + 10);
        assert_eq!(OFFER_COLUMNS[9], "offer_channel_answered");
        let now = ResponseSpec::new(spec.rule.clone(), spec.codes.clone());
        assert_eq!(now.n_columns, OFFER_COLUMNS.len());
    }
}
