//! The hopper's choice beside an exact solver, the shortlist beside everyone, and what policy.toml may say of campaigns.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use nextbest_models::policy::file::PolicyFile;
use nextbest_models::policy::hopper::{Entry, Instance, Shortlist, choose};
use nextbest_models::policy::{Policy, PolicyFault};
use proptest::prelude::*;

/// The optimum, by trying for each customer none and each of their entries.
fn exact(instance: &Instance) -> f64 {
    let n = instance.entries.iter().map(|entry| entry.customer + 1).max().unwrap_or(0);
    let of = |customer| -> Vec<&Entry> {
        instance.entries.iter().filter(|entry| entry.customer == customer).collect()
    };
    let customers: Vec<Vec<&Entry>> = (0..n).map(of).collect();
    best(instance, &customers, &mut instance.rooms.clone())
}

fn best(instance: &Instance, customers: &[Vec<&Entry>], rooms: &mut Vec<i64>) -> f64 {
    let Some((entries, rest)) = customers.split_first() else { return 0.0 };
    let mut most = best(instance, rest, rooms);
    for entry in entries {
        let kind = &instance.kinds[entry.kind];
        if kind.iter().all(|&(limit, amount)| amount <= rooms[limit]) {
            kind.iter().for_each(|&(limit, amount)| rooms[limit] -= amount);
            most = most.max(entry.worth + best(instance, rest, rooms));
            kind.iter().for_each(|&(limit, amount)| rooms[limit] += amount);
        }
    }
    most
}

fn assert_feasible(instance: &Instance, chosen: &[usize]) {
    let mut rooms = instance.rooms.clone();
    let mut customers = std::collections::BTreeSet::new();
    for &at in chosen {
        let entry = &instance.entries[at];
        assert!(customers.insert(entry.customer), "customer {} twice", entry.customer);
        instance.kinds[entry.kind].iter().for_each(|&(limit, amount)| rooms[limit] -= amount);
    }
    assert!(rooms.iter().all(|&room| room >= 0), "{rooms:?}");
}

/// Up to three limits of contacts and of money, up to four kinds that take of them, up to seven customers.
fn instances() -> impl Strategy<Value = Instance> {
    let rooms = prop::collection::vec(0..12_i64, 1..4);
    rooms
        .prop_flat_map(|rooms| {
            let takes = prop::collection::btree_map(
                0..rooms.len(),
                prop_oneof![Just(1_i64), 1..9_i64],
                0..=rooms.len(),
            );
            let kinds =
                prop::collection::vec(takes.prop_map(|takes| takes.into_iter().collect::<Vec<_>>()), 1..5);
            (Just(rooms), kinds)
        })
        .prop_flat_map(|(rooms, kinds)| {
            // Whole numbers make ties, fractions do not.
            let worth = prop_oneof![0.0..100.0_f64, (0..6_i32).prop_map(f64::from)];
            let entry = (0..7_usize, 0..kinds.len(), worth);
            let entries = prop::collection::vec(entry, 0..16);
            (Just(rooms), Just(kinds), entries).prop_map(|(rooms, kinds, entries)| {
                let mut seen = std::collections::BTreeSet::new();
                let entries =
                    entries.into_iter().filter(|(customer, kind, _)| seen.insert((*customer, *kind)));
                let entries =
                    entries.map(|(customer, kind, worth)| Entry { customer, kind, worth }).collect();
                Instance { rooms, kinds, entries }
            })
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_choice_keeps_its_guarantee_and_the_bound_lies_above_the_optimum(instance in instances()) {
        let choice = choose(&instance);
        let optimum = exact(&instance);
        assert_feasible(&instance, &choice.chosen);
        // Sums of at most seven worths, in two orders.
        let rounding = 16.0 * f64::EPSILON * optimum.max(1.0);
        prop_assert!(choice.worth <= optimum + rounding);
        prop_assert!(choice.worth >= choice.bound.guarantee * optimum - rounding, "{choice:?} of {optimum}");
        prop_assert!(choice.bound.upper >= optimum, "{choice:?} of {optimum}");
        prop_assert!(choice.bound.proven_share(choice.worth) * optimum <= choice.worth + rounding);
        prop_assert_eq!(choose(&instance), choice);
    }

    #[test]
    fn a_shortlist_holds_the_optimum_of_everyone(
        worths in prop::collection::vec((0..12_usize, 0..3_usize, 0.1..50.0_f64), 0..24),
        capacities in prop::collection::vec(0..3_i64, 3),
        money in 0..10_i64,
    ) {
        let mut seen = std::collections::BTreeSet::new();
        let entries: Vec<Entry> = worths
            .into_iter()
            .filter(|(customer, kind, _)| seen.insert((*customer, *kind)))
            .map(|(customer, kind, worth)| Entry { customer, kind, worth })
            .collect();
        let n_contacts: i64 = capacities.iter().sum();
        let rooms = [capacities, vec![money]].concat();
        let kinds = vec![vec![(0, 1), (3, 1)], vec![(1, 1), (3, 4)], vec![(2, 1)]];
        let mut shortlist = Shortlist::new(3, usize::try_from(n_contacts).unwrap());
        entries.iter().for_each(|entry| shortlist.add(entry.kind, entry.worth, entry.customer));
        let short = shortlist.finish();
        prop_assert!(short.entries.len() <= 3 * usize::try_from(n_contacts).unwrap());
        let everyone = Instance { rooms: rooms.clone(), kinds: kinds.clone(), entries };
        let short = Instance { rooms, kinds, entries: short.entries };
        let (all, few) = (exact(&everyone), exact(&short));
        prop_assert!((all - few).abs() <= 16.0 * f64::EPSILON * all.max(1.0), "{few} of {all}");
    }
}

#[test]
fn a_customer_goes_where_nobody_else_can() {
    // Ann is worth 10 to the calls and 9 to the letters, Bob 8 to the calls alone: greedy by worth takes 10, the best is 17.
    let entry = |customer, kind, worth| Entry { customer, kind, worth };
    let instance = Instance {
        rooms: vec![1, 1],
        kinds: vec![vec![(0, 1)], vec![(1, 1)]],
        entries: vec![entry(0, 0, 10.0), entry(0, 1, 9.0), entry(1, 0, 8.0)],
    };
    let choice = choose(&instance);
    assert!(choice.bound.upper >= 17.0 && choice.worth >= choice.bound.guarantee * 17.0, "{choice:?}");
    // One binding capacity and one contact a customer.
    assert_eq!(choice.bound.guarantee, 0.5);
}

#[test]
fn a_budget_of_money_goes_to_what_is_worth_most_for_it() {
    // One call for 400 is worth 30; four hundred mails for 1 each are worth 2 each. By worth the call comes first.
    let mails = (1..=400).map(|customer| Entry { customer, kind: 1, worth: 2.0 });
    let call = Entry { customer: 0, kind: 0, worth: 30.0 };
    let entries = std::iter::once(call).chain(mails).collect();
    let instance = Instance { rooms: vec![400], kinds: vec![vec![(0, 400)], vec![(0, 1)]], entries };
    let choice = choose(&instance);
    assert_eq!((choice.worth, choice.chosen.len()), (800.0, 400));
    // Proven by the dual, not by the guarantee, which the two prices spoil.
    assert!(choice.bound.proven_share(choice.worth) > 0.999 && choice.bound.guarantee < 0.01, "{choice:?}");
}

#[test]
fn nothing_is_chosen_from_nothing_for_nothing_or_without_room() {
    let nothing = choose(&Instance::default());
    assert_eq!(
        (nothing.chosen.len(), nothing.worth, nothing.bound.proven_share(nothing.worth)),
        (0, 0.0, 1.0)
    );
    let entry = |worth| Entry { customer: 0, kind: 0, worth };
    for (room, worth) in [(0, 5.0), (3, 0.0), (3, -1.0), (3, f64::NAN), (3, f64::INFINITY)] {
        let instance = Instance { rooms: vec![room], kinds: vec![vec![(0, 1)]], entries: vec![entry(worth)] };
        let choice = choose(&instance);
        assert_eq!((choice.chosen.len(), choice.bound.upper), (0, 0.0), "room {room}, worth {worth}");
    }
}

fn read(hopper: &str) -> Result<Policy, Vec<PolicyFault>> {
    let text = format!(
        "{hopper}\n[[action]]\nid = \"stay\"\ncampaign_type = \"prevent_defection\"\nstages = [\"active\"]\n\
         propensity = \"churn\"\nvalue = {{ fixed_minor = 100 }}\n\
         [[action.treatment]]\nid = \"mail\"\nchannel = \"email\"\ncost_minor = 1\n\
         [[action.treatment]]\nid = \"call\"\nchannel = \"phone\"\ncost_minor = 400\n\
         [[budget]]\nid = \"calls\"\nchannel = \"phone\"\nperiod = \"day\"\nmax_contacts = 9\n"
    );
    let file: PolicyFile = toml::from_str(&text).unwrap();
    Policy::new(file, &["churn".to_owned()], &[], &[])
}

#[test]
fn campaigns_know_their_forms_and_what_they_draw_on() {
    let policy = read(
        "[hopper]\nreserve_minutes = 600\n[[hopper.campaign]]\naction = \"stay\"\nchannel = \"phone\"\nmax_contacts = 5\n\
         [[hopper.campaign]]\naction = \"stay\"\nchannel = \"email\"\nmax_contacts = 7\n",
    )
    .unwrap();
    let forms = policy.hopper_forms();
    let told: Vec<_> = forms
        .iter()
        .map(|form| (form.campaign, &*form.treatment_id, form.cost_minor, &form.budgets[..]))
        .collect();
    assert_eq!(told, [(0, "call", 400, &[0][..]), (1, "mail", 1, &[])]);
    assert_eq!(policy.hopper().campaigns[0].id(), "stay.phone");
    assert!(policy.warnings().is_empty(), "{:?}", policy.warnings());
    assert!(read("").unwrap().hopper().campaigns.is_empty());
}

#[test]
fn a_campaign_that_cannot_be_is_named_with_what_is_allowed() {
    let campaign = |more: &str| format!("[[hopper.campaign]]\naction = \"stay\"\nmax_contacts = 5\n{more}\n");
    let twice = campaign("") + &campaign("channel = \"phone\"");
    for (text, said) in [
        (campaign("").replace("\"stay\"", "\"go\""), "\"go\": no action has this id"),
        (campaign("channel = \"post\""), "no treatment for the channel \"post\""),
        (campaign("max_cost_minor = -1"), "max_cost_minor -1 is below 0"),
        (campaign("").replace('5', "1000001"), "max_contacts 1000001 lies outside 0 ..= 1000000"),
        (twice, "it stands twice"),
        (
            "[hopper]\nreserve_minutes = 0\n".to_owned() + &campaign(""),
            "reserve_minutes 0 lies outside 1 ..= 10080",
        ),
    ] {
        let faults = read(&text).unwrap_err();
        assert!(faults.iter().any(|fault| fault.message.contains(said)), "{said} is not in {faults:?}");
    }
    let short = read(&("[hopper]\nreserve_minutes = 60\n".to_owned() + &campaign(""))).unwrap();
    assert!(
        short.warnings()[0].contains("no longer than that of a live decision (60)"),
        "{:?}",
        short.warnings()
    );
}

#[test]
fn the_example_of_the_docs_reads() {
    let page = include_str!("../../docs/policy.md");
    let section = page.split("## The hopper").nth(1).unwrap();
    let example = section.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let policy = read(&example.replace("stay_with_us", "stay")).unwrap();
    assert_eq!((policy.hopper().campaigns.len(), policy.hopper().reserve_minutes), (1, 720));
    assert_eq!(policy.capacities()[0].max_cost_minor, Some(40_000));
}
