//! Arbitration: who comes first by which factor, who is worth too little, in which form an action is offered, and that
//! the probabilities that are logged are those of the draw.

use std::collections::BTreeMap;

use nextbest_models::decision::{Candidate, Decision, FunnelStage, Name, RejectionCode};
use nextbest_models::policy::{Policy, Question, Situation, decide};
use nextbest_models::posterior::Evidence;
use nextbest_models::units::Seed;

use super::{p, policy};

/// An active customer, of whom a response model says `offers`: one for each treatment in the order of the policy.
fn situation(offers: &[f64]) -> Situation {
    let offers = offers.iter().map(|offer| Some(p(*offer))).collect();
    Situation { offers, ..super::situation() }
}

fn question() -> Question {
    Question { max_actions: 9, ..Question::default() }
}

/// An action of `id` about a response, worth `value`, with more lines of its table; what follows belongs to its one
/// treatment.
fn action(id: &str, value: f64, more: &str) -> String {
    format!(
        "[[action]]\nid = \"{id}\"\ncampaign_type = \"upsell\"\nstages = [\"active\"]\npropensity = \"accepted\"\n\
         value = {{ fixed_minor = {value} }}\n{more}\n[[action.treatment]]\nid = \"{id}_email\"\nchannel = \"email\"\n"
    )
}

/// `[arbitration]` with `line`.
fn arbitration(line: &str) -> String {
    format!("[arbitration]\n{line}\n")
}

fn order(decision: &Decision) -> Vec<&str> {
    decision.actions.iter().map(|candidate| &*candidate.action_id).collect()
}

fn all(decision: &Decision) -> impl Iterator<Item = &Candidate> {
    decision.actions.iter().chain(&decision.outranked)
}

/// The one candidate that there is.
fn only(policy: &Policy, situation: &Situation) -> Candidate {
    let decision = decide(policy, situation, &question());
    assert_eq!(decision.actions.len(), 1, "{decision:?}");
    decision.actions[0].clone()
}

const FACTORS: [&str; 4] = ["propensity", "context_weight", "value", "lever"];

/// Actions with their propensity, context weight, value and lever: each comes first in one of five products, of all four
/// factors and of any three.
const ACTIONS: [(&str, [f64; 4]); 5] = [
    ("dear", [0.1, 1.0, 3500.0, 1.0]),
    ("favoured", [0.2, 2.0, 500.0, 2.0]),
    ("fitting", [0.24, 3.0, 520.0, 1.0]),
    ("likely", [0.9, 1.0, 400.0, 1.0]),
    ("pushed", [0.3, 1.0, 500.0, 2.5]),
];

fn five(arbitration: &str) -> Policy {
    let actions = ACTIONS.map(|(id, [_, _, value, lever])| action(id, value, &format!("lever = {lever:?}")));
    let weights = ACTIONS.map(|(id, [_, weight, _, _])| {
        format!("[[context_weight]]\naction = \"{id}\"\nrule = \"customer.known\"\nweight = {weight:?}\n")
    });
    policy(&(arbitration.to_owned() + &actions.concat() + &weights.concat()))
}

#[test]
fn a_factor_that_is_switched_off_leaves_the_order_to_the_product_of_the_others() {
    let told = situation(&ACTIONS.map(|(_, [propensity, ..])| propensity));
    // 400, 375, 374.4, 360 and 350.
    let decision = decide(&five(""), &told, &question());
    assert_eq!(order(&decision), ["favoured", "pushed", "fitting", "likely", "dear"]);
    let orders = [
        // 3500, 2000, 1560, 1250 and 400.
        ["dear", "favoured", "fitting", "pushed", "likely"],
        // 375, 360, 350, 200 and 124.8.
        ["pushed", "likely", "dear", "favoured", "fitting"],
        // 0.9, 0.8, 0.75, 0.72 and 0.1.
        ["likely", "favoured", "pushed", "fitting", "dear"],
        // 374.4, 360, 350, 200 and 150.
        ["fitting", "likely", "dear", "favoured", "pushed"],
    ];
    for (off, (name, expected)) in FACTORS.iter().zip(orders).enumerate() {
        let switched = five(&arbitration(&format!("{name} = false")));
        let decision = decide(&switched, &told, &question());
        assert_eq!(order(&decision), expected, "without {name}");
        for candidate in &decision.actions {
            let (_, mut factors) = ACTIONS.into_iter().find(|(id, _)| *candidate.action_id == **id).unwrap();
            factors[off] = 1.0;
            let logged = candidate.factors;
            assert_eq!(
                [logged.propensity.get(), logged.context_weight, logged.value, logged.lever],
                factors,
                "what is logged makes up the priority"
            );
            assert_eq!(candidate.priority, factors.iter().product::<f64>());
        }
    }
}

/// Whether an action worth 1000 that costs 20 and meets `propensity` is offered, else where it falls.
fn offered(
    arbitration: &str,
    propensity: f64,
    more: &str,
) -> Result<(), (FunnelStage, String, RejectionCode)> {
    let policy = policy(&(arbitration.to_owned() + &action("a", 1000.0, more) + "cost_minor = 20\n"));
    let decision = decide(&policy, &situation(&[propensity]), &question());
    if decision.actions.is_empty() {
        let fallen = &decision.suppressed[0];
        return Err((fallen.stage, fallen.component.to_string(), fallen.code));
    }
    Ok(())
}

/// What may be switched off without moving a threshold, and a lever that lifts no worth.
const SETTINGS: [(&str, &str); 6] = [
    ("", ""),
    ("propensity = false", ""),
    ("value = false", ""),
    ("lever = false", ""),
    ("", "lever = 100.0"),
    ("", "lever = 0.01"),
];

#[test]
fn the_least_propensity_holds_whatever_takes_part_in_the_priority() {
    for (switch, more) in SETTINGS {
        let least = arbitration(&format!("min_propensity = 0.3\n{switch}"));
        let fallen = (FunnelStage::Propensity, "accepted".to_owned(), RejectionCode::BelowMinPropensity);
        assert_eq!(offered(&least, 0.3 + 1e-9, more), Ok(()), "{switch} {more}");
        assert_eq!(offered(&least, 0.3 - 1e-9, more), Err(fallen), "{switch} {more}");
    }
}

#[test]
fn the_least_worth_is_money_whatever_takes_part_in_the_priority() {
    for (switch, more) in SETTINGS {
        // 0.1 x 1000 - 20
        let least = arbitration(&format!("min_worth_minor = 80.0\n{switch}"));
        let fallen = || (FunnelStage::Arbitration, "worth".to_owned(), RejectionCode::BelowMinPriority);
        assert_eq!(offered(&least, 0.1 + 1e-9, more), Ok(()), "{switch} {more}");
        assert_eq!(offered(&least, 0.1 - 1e-9, more), Err(fallen()), "{switch} {more}");
        // Without a least worth, what an offer costs.
        let none = arbitration(switch);
        assert_eq!(offered(&none, 0.02 + 1e-9, more), Ok(()), "{switch} {more}");
        assert_eq!(offered(&none, 0.02 - 1e-9, more), Err(fallen()), "{switch} {more}");
    }
}

#[test]
fn what_counts_for_nothing_is_not_offered_unless_its_factor_is_switched_off() {
    let fallen = (FunnelStage::Arbitration, "priority".to_owned(), RejectionCode::BelowMinPriority);
    assert_eq!(offered("", 0.5, "lever = 0.0"), Err(fallen));
    assert_eq!(offered(&arbitration("lever = false"), 0.5, "lever = 0.0"), Ok(()));
}

#[test]
fn mandatory_comes_first_whatever_is_switched_off_or_asked_of_the_others() {
    let scene = action("good", 1000.0, "")
        + &action("must", 0.0, "mandatory = true")
        + &action("other", 900.0, "")
        + &action("poor", 10.0, "");
    let told = situation(&[0.5, 0.001, 0.5, 0.5]);
    let exploring = "[exploration]\nkind = \"epsilon_softmax\"\nepsilon = 0.5\ntemperature = 1.0\n";
    for name in FACTORS {
        let least = format!("min_propensity = 0.1\nmin_worth_minor = 100.0\n{name} = false");
        let text = arbitration(&least) + &scene;
        let decision = decide(&policy(&text), &told, &question());
        assert_eq!(order(&decision), ["must", "good", "other"], "without {name}");
        let poor = decision.suppressed.iter().find(|fallen| &*fallen.action_id == "poor").unwrap();
        assert_eq!((&*poor.component, poor.code), ("worth", RejectionCode::BelowMinPriority));
        // It takes no part in the draw: it is certain, and the others share a whole.
        let explored = policy(&(arbitration(&least) + exploring + &scene));
        for seed in 0..50 {
            let decision = decide(&explored, &Situation { seed: Seed(seed), ..told.clone() }, &question());
            let (first, others) = decision.actions.split_first().unwrap();
            assert_eq!((&*first.action_id, first.choice_probability), ("must", 1.0));
            let sum: f64 = others.iter().map(|candidate| candidate.choice_probability).sum();
            // Two numbers of at most 1, each rounded four times or less.
            assert!((sum - 1.0).abs() <= 4.0 * f64::EPSILON, "{sum}");
        }
    }
}

#[test]
fn a_treatment_is_chosen_by_its_worth_whatever_takes_part_in_the_priority() {
    let scene = |more: &str| {
        action("big", 1000.0, more)
            + "[[action.treatment]]\nid = \"big_push\"\nchannel = \"push\"\ncost_minor = 20\n"
    };
    let nothing = FACTORS.map(|name| format!("{name} = false")).join("\n");
    let mut switches = Vec::from(FACTORS.map(|name| format!("{name} = false")));
    switches.extend([String::new(), nothing]);
    // Levers say which action is wanted more; of money earned and money spent on one of them they say nothing.
    for lever in ["", "lever = 0.1", "lever = 10.0"] {
        for switch in &switches {
            let policy = policy(&(arbitration(switch) + &scene(lever)));
            let chosen = |email, push| only(&policy, &situation(&[email, push])).treatment_id.to_string();
            // 20 for the push are 0.02 of the value: 130 - 20 against 100.
            assert_eq!(chosen(0.10, 0.13), "big_push", "{switch} {lever}");
            assert_eq!(chosen(0.10, 0.11), "big_email", "{switch} {lever}");
            assert_eq!(chosen(0.13, 0.10), "big_email", "{switch} {lever}");
        }
    }
}

const PRIOR: &str = "prior = { propensity = 0.05, evidence = 100 }";

/// The policy of `text`, with the propensity in the priority and without it.
fn with_and_without(text: &str) -> [Policy; 2] {
    [policy(text), policy(&(arbitration("propensity = false") + text))]
}

#[test]
fn what_was_believed_is_told_though_the_propensity_takes_no_part() {
    let [with, without] = with_and_without(&action("young", 1000.0, PRIOR));
    let evidence = Evidence { n_outcomes: 10, n_successes: 4, expected: 1.0 };
    // No model speaks: (100 x 0.05 + 4) / (100 + 10).
    let blind =
        Situation { offers: Vec::new(), evidence: [("young".into(), evidence)].into(), ..situation(&[]) };
    let (taking_part, left_out) = (only(&with, &blind), only(&without, &blind));
    assert_eq!((taking_part.factors.propensity, left_out.factors.propensity), (p(9.0 / 110.0), p(1.0)));
    assert_eq!(with.believed(&blind, &taking_part), Some(p(9.0 / 110.0)));
    assert_eq!(without.believed(&blind, &left_out), Some(p(9.0 / 110.0)));
    // The prior is gone from the policy: what is logged still tells it, or nothing does.
    let [_, forgetful] = with_and_without(&action("young", 1000.0, ""));
    assert_eq!(forgetful.believed(&blind, &taking_part), Some(p(9.0 / 110.0)));
    assert_eq!(forgetful.believed(&blind, &left_out), None);
    // A model speaks: what it said, before the action's own outcomes and its prior.
    let told = situation(&[0.3]);
    assert_eq!(without.believed(&told, &only(&without, &told)), Some(p(0.3)));
    assert_eq!(with.believed(&told, &only(&with, &told)), Some(p(0.3)));
}

#[test]
fn what_was_believed_of_a_fallback_is_its_prior_alone() {
    let last = action("last", 1000.0, PRIOR).replace("stages = [\"active\"]", "stages = [\"loyal\"]");
    let text = action("big", 1000.0, "") + &last + "[fallback]\naction = \"last\"\n";
    let [with, without] = with_and_without(&text);
    let evidence = Evidence { n_outcomes: 10, n_successes: 4, expected: 1.0 };
    let blind =
        Situation { offers: Vec::new(), evidence: [("last".into(), evidence)].into(), ..situation(&[]) };
    for policy in [with, without] {
        let candidate = only(&policy, &blind);
        assert_eq!((&*candidate.action_id, candidate.maturity.n_outcomes), ("last", 0));
        let believed = policy.believed(&blind, &candidate).unwrap().get();
        // 100 x 0.05 / 100, rounded twice.
        assert!((believed - 0.05).abs() <= 2.0 * f64::EPSILON * 0.05, "{believed}");
    }
}

#[test]
fn a_propensity_that_takes_no_part_is_not_drawn() {
    let thompson = "[exploration]\nkind = \"thompson\"\nevidence = 300.0\n";
    let text = action("known", 1000.0, "") + &action("young", 1500.0, PRIOR);
    let [with, without] = [
        policy(&(thompson.to_owned() + &text)),
        policy(&(arbitration("propensity = false") + thompson + &text)),
    ];
    let told = situation(&[0.3, 0.05]);
    for seed in 0..50 {
        let seeded = Situation { seed: Seed(seed), ..told.clone() };
        let decision = decide(&without, &seeded, &question());
        assert_eq!(order(&decision), ["young", "known"]);
        let probabilities: Vec<f64> = all(&decision).map(|candidate| candidate.choice_probability).collect();
        assert_eq!(probabilities, [1.0, 0.0], "1500 is above 1000 for certain");
        // Where it takes part nobody knows how often the young one succeeds.
        let open = decide(&with, &seeded, &question());
        assert!(all(&open).all(|candidate| (0.1..0.9).contains(&candidate.choice_probability)), "{open:?}");
    }
}

/// Over so many seeds each action comes first as often as is logged of it, within five standard errors: by chance one of
/// the eight tested would not in 5 of a million such tests.
fn frequencies_are_the_logged_probabilities(exploration: &str) {
    const N_SEEDS: u32 = 100_000;
    let text = exploration.to_owned()
        + &action("a", 1000.0, "")
        + &action("b", 2600.0, "")
        + &action("c", 400.0, "")
        + &action("d", 3000.0, "");
    let policy = policy(&text);
    // Worth 300, 260, 240 and 150.
    let mut told = situation(&[0.3, 0.1, 0.6, 0.05]);
    let asked = Question { max_actions: 1, ..Question::default() };
    let decision = decide(&policy, &told, &asked);
    assert_eq!((decision.actions.len(), decision.outranked.len()), (1, 3));
    let logged: BTreeMap<Name, f64> =
        all(&decision).map(|one| (one.action_id.clone(), one.choice_probability)).collect();
    let mut n_first: BTreeMap<Name, u32> = BTreeMap::new();
    for seed in 0..N_SEEDS {
        told.seed = Seed(u64::from(seed));
        let decision = decide(&policy, &told, &asked);
        let first = &decision.actions[0];
        // Probabilities do not hang on the seed, and the decision's is that of whom it puts first.
        assert_eq!(first.choice_probability, logged[&first.action_id]);
        assert_eq!(decision.choice_probability, first.choice_probability);
        *n_first.entry(first.action_id.clone()).or_default() += 1;
    }
    for (id, probability) in &logged {
        let frequency = f64::from(n_first.get(id).copied().unwrap_or(0)) / f64::from(N_SEEDS);
        let error = (probability * (1.0 - probability) / f64::from(N_SEEDS)).sqrt();
        assert!((frequency - probability).abs() <= 5.0 * error, "{id}: {frequency} is not {probability}");
        assert!((0.01..0.9).contains(probability), "{id}: {probability} tests little");
    }
}

#[test]
fn under_epsilon_softmax_each_comes_first_as_often_as_logged() {
    let exploration =
        "[exploration]\nkind = \"epsilon_softmax\"\nepsilon = 0.1\ntemperature = 0.5\nfloor = 0.01\n";
    frequencies_are_the_logged_probabilities(exploration);
}

#[test]
fn under_thompson_each_comes_first_as_often_as_logged() {
    let exploration = "[exploration]\nkind = \"thompson\"\nevidence = 30.0\nfloor = 0.01\n";
    frequencies_are_the_logged_probabilities(exploration);
}
