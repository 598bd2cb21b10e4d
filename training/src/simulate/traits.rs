//! What a customer is born with and nobody sees: tastes, sensitivities, frailty, temperament.
//!
//! All of it is drawn from the customer's own stream and never changes. What is recorded of a customer (age band,
//! country, channel) moves some of the hidden traits, weakly, so that a model has something to find.

use nextbest_models::units::Seed;

use super::campaign::{DECISION_DAYS, N_ACTIONS, N_CHANNELS, legacy_actions};
use super::catalogue::{CATEGORIES, N_CATEGORIES};
use super::random::{Purpose, Stream};

/// Number of age bands.
pub const N_AGES: usize = 5;
/// The age bands.
pub const AGES: [&str; N_AGES] = ["18-24", "25-34", "35-49", "50-64", "65+"];
/// The countries.
pub const COUNTRIES: [&str; 5] = ["United Kingdom", "France", "Germany", "Ireland", "Spain"];
/// Share of customers who had joined before the log begins.
pub const BASE_SHARE: f64 = 0.45;

const AGE_SHARES: [f64; N_AGES] = [0.12, 0.27, 0.31, 0.19, 0.11];
const COUNTRY_SHARES: [f64; 5] = [0.55, 0.15, 0.15, 0.09, 0.06];
/// Delivery trouble by country, as a multiple.
const COUNTRY_TROUBLE: [f64; 5] = [0.8, 1.2, 0.9, 1.0, 1.8];
const CHANNEL_SHARES: [f64; N_CHANNELS] = [0.55, 0.30, 0.15];
/// Share of sleeping dogs by age band.
const DOG_SHARES: [f64; N_AGES] = [0.05, 0.06, 0.10, 0.18, 0.26];

/// The young answer to remarketing and upsell, the old to follow-up and renewal.
const TILT: [f64; N_ACTIONS] = [-0.3, 0.3, 0.0, 0.0, 0.3, 0.0, 0.2, -0.3, 0.0, 0.0];
/// Harm of a contact to sleeping dogs, in the median, and to others.
const DOG_HARM: f64 = 0.16;
const HARM: f64 = 0.003;
/// The range of wear.
const WEAR: (f64, f64) = (0.5, 0.85);

/// How a customer takes to being contacted at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temperament {
    /// May respond.
    Persuadable,
    /// Hardly ever responds, is hardly ever put off.
    Deaf,
    /// Hardly ever responds, and contact drives them away.
    SleepingDog,
}

impl Temperament {
    /// Its name in the truth files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Persuadable => "persuadable",
            Self::Deaf => "deaf",
            Self::SleepingDog => "sleeping_dog",
        }
    }
}

/// The traits.
#[derive(Clone, Debug)]
pub struct Traits {
    /// Number of the customer, from 0.
    pub number: u64,
    /// Index into [`AGES`].
    pub age_band: usize,
    /// Index into [`COUNTRIES`].
    pub country: usize,
    /// The channel on record, an index into `CHANNELS`; the truly preferred one with probability 0.7 + 0.3 x share.
    pub recorded_channel: usize,
    /// The channel truly preferred.
    pub true_channel: usize,
    /// Day of joining, relative to the start of the log; negative: before it.
    pub joined: i32,
    /// Day of the three weeks on which the legacy policy decides, 0 ..= 20.
    pub decision_phase: i32,
    /// Whether consent to marketing was given at joining.
    pub consent: bool,
    /// Visits a day when content, not stocked (before its factor), at weight 1.
    pub visit_rate: f64,
    /// Days for which an order lasts, mean.
    pub stock_days: f64,
    /// Hazard of leaving for good, per day, when content and long with us.
    pub frailty: f64,
    /// How hard service incidents hit, a multiple.
    pub trouble: f64,
    /// Taste for each category, a weight.
    pub taste: [f64; N_CATEGORIES],
    /// Price sensitivity by category: utility lost per unit of log price.
    pub beta: [f64; N_CATEGORIES],
    /// Further utility lost per unit of log price above the reference price.
    pub loss_aversion: f64,
    /// Mean number of further units on an order line.
    pub extra_units: f64,
    /// How contact is taken.
    pub temperament: Temperament,
    /// Multiple of each campaign's pull.
    pub persuasion: [f64; N_ACTIONS],
    /// Probability that a contact with sting 1, at no fatigue, puts off.
    pub harm: f64,
    /// Probability of reading what comes by each channel.
    pub read: [f64; N_CHANNELS],
    /// Multiple of the pull per level of fatigue.
    pub wear: f64,
    /// The legacy policy's probabilities of the ten actions (from the age band alone).
    pub legacy: [f64; N_ACTIONS],
}

impl Traits {
    /// The traits of customer `number` in a log of `days` days.
    #[must_use]
    pub fn draw(seed: Seed, number: u64, days: i32) -> Self {
        Self::from_stream(&mut Stream::new(seed, Purpose::Traits, number), number, days)
    }

    /// The same from any stream, for the reference population.
    #[must_use]
    pub fn from_stream(stream: &mut Stream, number: u64, days: i32) -> Self {
        let age_band = stream.pick(&AGE_SHARES);
        let country = stream.pick(&COUNTRY_SHARES);
        let true_channel = stream.pick(&CHANNEL_SHARES);
        let honest = stream.chance(0.7);
        let other = stream.pick(&CHANNEL_SHARES);
        let base = stream.chance(BASE_SHARE);
        let joined = joined(stream, base, days);
        let butterfly = stream.chance(0.30);
        let heavy = stream.chance(0.15);
        let temperament = temperament(stream, age_band);
        let youth = 1.0 - 2.0 * age_band as f64 / (N_AGES - 1) as f64;
        // Who is left from before the log begins are the less frail ones.
        let survivor: f64 = if base { 0.6 } else { 1.0 };
        let median_hazard = survivor * if butterfly { 1.0 / 230.0 } else { 1.0 / 1000.0 };
        let thrift = 0.15 * youth + 0.25 * stream.normal();
        Self {
            number,
            age_band,
            country,
            recorded_channel: if honest { true_channel } else { other },
            true_channel,
            joined,
            decision_phase: i32::try_from(stream.below(usize::try_from(DECISION_DAYS).unwrap_or(1)))
                .unwrap_or(0),
            consent: stream.chance(0.8),
            visit_rate: stream.log_normal((1.0f64 / 34.0).ln(), 0.6) * if heavy { 2.5 } else { 1.0 },
            stock_days: stream.log_normal(18.0f64.ln(), 0.4),
            frailty: stream.log_normal(median_hazard.ln(), 0.7),
            trouble: COUNTRY_TROUBLE[country] * stream.log_normal(0.0, 0.4),
            taste: std::array::from_fn(|k| CATEGORIES[k].share * stream.log_normal(0.0, 0.8)),
            beta: std::array::from_fn(|k| CATEGORIES[k].beta * stream.log_normal(thrift, 0.2)),
            loss_aversion: stream.log_normal(0.0, 0.4),
            extra_units: stream.log_normal((0.45f64).ln(), 0.5),
            temperament,
            persuasion: persuasion(stream, temperament, youth),
            harm: match temperament {
                Temperament::SleepingDog => DOG_HARM * stream.log_normal(0.0, 0.3),
                _ => HARM,
            },
            read: read(true_channel),
            wear: stream.between(WEAR.0, WEAR.1),
            legacy: legacy_actions(age_band),
        }
    }
}

/// Who a customer may be as a contact sees it, by what is on record of them (age band, channel): each temperament and truly
/// preferred channel with its probability, and persuasion, harm and wear at their medians.
#[must_use]
pub fn on_record(traits: &Traits) -> Vec<(f64, Traits)> {
    let dog = DOG_SHARES[traits.age_band];
    let temperaments = [
        (1.0 - 0.25 - dog, Temperament::Persuadable),
        (0.25, Temperament::Deaf),
        (dog, Temperament::SleepingDog),
    ];
    let youth = 1.0 - 2.0 * traits.age_band as f64 / (N_AGES - 1) as f64;
    let mut found = Vec::new();
    for (channel, share) in CHANNEL_SHARES.iter().enumerate() {
        // Bayes: the recorded channel is the true one with 0.7, else drawn by the shares.
        let recorded = CHANNEL_SHARES[traits.recorded_channel];
        let told = if channel == traits.recorded_channel { 0.7 + 0.3 * recorded } else { 0.3 * recorded };
        for (of_temperament, temperament) in temperaments {
            let persuasion = TILT.map(|tilt| persuasion_level(temperament) * (tilt * youth).exp());
            let harm = if temperament == Temperament::SleepingDog { DOG_HARM } else { HARM };
            let read = read(channel);
            let wear = 0.5 * (WEAR.0 + WEAR.1);
            let traits =
                Traits { true_channel: channel, temperament, persuasion, harm, read, wear, ..traits.clone() };
            found.push((share * told / recorded * of_temperament, traits));
        }
    }
    found
}

/// Before the log: uniform over the two years before. In it: density rising by 30 % from first to last day.
fn joined(stream: &mut Stream, base: bool, days: i32) -> i32 {
    let u = stream.uniform();
    if base {
        return -1 - (730.0 * u) as i32;
    }
    // The distribution function of density (1 + 0.3 x) / 1.15 on [0, 1], inverted.
    let x = ((1.0 + 0.6 * 1.15 * u).sqrt() - 1.0) / 0.3;
    ((f64::from(days) * x) as i32).clamp(0, days - 1)
}

fn temperament(stream: &mut Stream, age_band: usize) -> Temperament {
    let dog = DOG_SHARES[age_band];
    match stream.pick(&[1.0 - 0.25 - dog, 0.25, dog]) {
        0 => Temperament::Persuadable,
        1 => Temperament::Deaf,
        _ => Temperament::SleepingDog,
    }
}

fn persuasion(stream: &mut Stream, temperament: Temperament, youth: f64) -> [f64; N_ACTIONS] {
    let level = persuasion_level(temperament);
    TILT.map(|tilt| level * stream.log_normal(tilt * youth, 0.45))
}

const fn persuasion_level(temperament: Temperament) -> f64 {
    match temperament {
        Temperament::Persuadable => 1.2,
        Temperament::Deaf | Temperament::SleepingDog => 0.05,
    }
}

fn read(true_channel: usize) -> [f64; N_CHANNELS] {
    std::array::from_fn(|channel| if channel == true_channel { 0.6 } else { 0.25 })
}
