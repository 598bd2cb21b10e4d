//! What a contact more changes: lived with and without it, against what was foretold.

use super::super::campaign::{CAMPAIGNS, CHANNELS};
use super::super::life::Life;
use super::super::shopper::Shopper;
use super::super::takeover::Errand;
use super::super::traits::Temperament;
use super::super::truth::{Prospect, Window, lived_margin};
use super::*;

/// A bound in standard errors, broken by chance once in 16,000.
const K: f64 = 4.0;
/// A day whose state is stated, with 120 more to live.
const AGE: usize = 245;

fn contact() -> (usize, usize) {
    let action = CAMPAIGNS.iter().position(|campaign| campaign.id == "prevent_defection").unwrap();
    (action, CHANNELS.iter().position(|channel| *channel == "email").unwrap())
}

/// Of every customer there is on [`AGE`]: who, the margin foretold without and with the contact, and the margin lived in
/// either case.
struct Pair {
    temperament: Temperament,
    foretold: [f64; 2],
    lived: [f64; 2],
}

fn pairs(n_days: usize, seed: u64) -> Vec<Pair> {
    let (shop, lives) = year(6_000, seed);
    let window = Window { age: AGE, n_days, weekly_discount: 0.002 };
    let (action, channel) = contact();
    let pair = |(number, life): (usize, &Life)| {
        let state = life.states.iter().find(|record| record.age == AGE)?.state;
        let contacted = shop.customer_with(number as u64, Errand { age: AGE, action, channel })?;
        let prospect = Prospect::of(&mut Shopper::new(shop.market(), life.traits.clone()), &window);
        let lived = |life| lived_margin(life, shop.market(), shop.frame.start, &window);
        Some(Pair {
            temperament: life.traits.temperament,
            foretold: [prospect.untouched(state), prospect.contacted(&life.traits, state, contact())],
            lived: [lived(life), lived(&contacted)],
        })
    };
    lives.par_iter().enumerate().filter_map(pair).collect()
}

fn check(what: &str, off: &[f64]) {
    let n = off.len() as f64;
    let mean = off.iter().sum::<f64>() / n;
    let se = (off.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt();
    assert!(mean.abs() <= K * se, "{what}: {mean} +- {se} over {n}");
}

/// Margins lived less those foretold have mean 0, without a contact, with one, and between the two; over a week, where the
/// contact is most of what happens, and over ninety days. What came back of the window's last orders may not be known by the
/// end of the log; 30 days after the window, all of it is.
#[test]
fn margins_come_as_foretold_with_a_contact_and_without() {
    for n_days in [7, 90] {
        let pairs = pairs(n_days, 31);
        let off = |f: &dyn Fn(&Pair) -> f64| pairs.iter().map(f).collect::<Vec<f64>>();
        check("without", &off(&|pair| pair.lived[0] - pair.foretold[0]));
        check("with", &off(&|pair| pair.lived[1] - pair.foretold[1]));
        check("added", &off(&|pair| pair.lived[1] - pair.lived[0] - (pair.foretold[1] - pair.foretold[0])));
        assert!(pairs.len() > 4_000, "{}", pairs.len());
    }
}

/// The persuadable bring more for a contact, sleeping dogs less, the deaf hardly anything.
#[test]
fn a_contact_saves_by_temperament() {
    let pairs = pairs(90, 32);
    let mean = |temperament: Temperament| {
        let of = pairs.iter().filter(|pair| pair.temperament == temperament);
        let saved: Vec<f64> = of.map(|pair| pair.foretold[1] - pair.foretold[0]).collect();
        saved.iter().sum::<f64>() / saved.len() as f64
    };
    let [persuadable, deaf, dog] =
        [Temperament::Persuadable, Temperament::Deaf, Temperament::SleepingDog].map(mean);
    assert!(dog < 0.0 && deaf.abs() < 0.1 * persuadable && persuadable > 0.0, "{persuadable} {deaf} {dog}");
}

/// Up to the day of the contact nothing differs.
#[test]
fn a_life_with_a_contact_more_is_the_same_until_then() {
    let shop = Shop::new(&options(300, 150, 33), gbp());
    let (action, channel) = contact();
    let errand = Errand { age: 90, action, channel };
    let day = shop.frame.start.plus_days(90);
    let mut n_contacted = 0;
    for number in 0..300 {
        let lives = [shop.customer(number).unwrap(), shop.customer_with(number, errand).unwrap()];
        let before = |life: &Life| -> BTreeMap<String, Event> {
            // Second deliveries are drawn when a life is over; the first is the earlier one.
            let known = life.entries.events.iter().rev().filter(|event| event.known() < day);
            known.map(|event| (event.event_id.clone(), event.clone())).collect()
        };
        assert_eq!(before(&lives[0]), before(&lives[1]));
        let sent = |life: &Life| {
            let on_day = |event: &&Event| {
                event.event_type == EventType::Contacted && event.occurred_at.day() == day.day()
            };
            life.entries.events.iter().filter(on_day).count()
        };
        n_contacted += sent(&lives[1]).min(1);
        assert!(sent(&lives[1]) <= 2, "one contact a day, delivered twice at most");
    }
    assert!(n_contacted > 100, "{n_contacted}");
}
