//! Which factor decides, that parts add up to the whole, and the test of the control groups against published tables.

use nextbest_models::action::CampaignType;
use nextbest_models::decision::{Candidate, Factors, Maturity, Name, Rejection};
use nextbest_models::units::Probability;

use super::*;

/// A candidate called `id` of this propensity, context weight, value and lever.
fn candidate(id: &str, [propensity, context_weight, value, lever]: [f64; 4]) -> Candidate {
    let propensity = Probability::new(propensity).unwrap();
    let factors = Factors { propensity, context_weight, value, lever };
    Candidate {
        rank: 0,
        action_id: Name::from(id),
        campaign_type: CampaignType::Upsell,
        propensity_model: Name::from("accepted"),
        treatment_id: Name::from("by_email"),
        channel: Name::from("email"),
        expires_at: as_of(),
        mandatory: false,
        cost_minor: 0,
        priority: factors.priority(),
        factors,
        maturity: Maturity { model: Some(propensity), model_weight: 1.0, n_outcomes: 0 },
        choice_probability: 0.5,
        counted: false,
        budgets: Vec::new(),
        exempt_from: Vec::new(),
    }
}

fn as_of() -> Timestamp {
    "2026-06-15T12:00:00Z".parse().unwrap()
}

/// Which factors decide who of `candidates` comes first.
fn deciding(candidates: &[Candidate]) -> Vec<Factor> {
    Factor::ALL.into_iter().filter(|factor| factor.decides(candidates)).collect()
}

/// The first comes first by this one factor, in which it is far ahead, and lies behind in another one.
const BY_ONE: [(Factor, [f64; 4], [f64; 4]); 4] = [
    // 50 against 37.5; without the propensity 100 against 150.
    (Factor::Propensity, [0.5, 1.0, 100.0, 1.0], [0.25, 1.0, 150.0, 1.0]),
    // 75 against 50; without the factor 25 against 50.
    (Factor::ContextWeight, [0.25, 3.0, 100.0, 1.0], [0.5, 1.0, 100.0, 1.0]),
    (Factor::Lever, [0.25, 1.0, 100.0, 3.0], [0.5, 1.0, 100.0, 1.0]),
    // 75 against 50; without the value 0.25 against 0.5.
    (Factor::Value, [0.25, 1.0, 300.0, 1.0], [0.5, 1.0, 100.0, 1.0]),
];

#[test]
fn a_factor_decides_where_another_would_come_first_without_it() {
    for (factor, first, second) in BY_ONE {
        let mut candidates = [candidate("first", first), candidate("second", second)];
        assert_eq!(deciding(&candidates), [factor], "{candidates:?}");
        // In whichever order they stand.
        candidates.reverse();
        assert_eq!(deciding(&candidates), [factor], "{candidates:?}");
    }
}

#[test]
fn where_there_is_no_choice_or_one_is_ahead_in_everything_no_factor_decides() {
    let ahead = candidate("ahead", [0.5, 2.0, 200.0, 2.0]);
    let behind = candidate("behind", [0.25, 1.0, 100.0, 1.0]);
    assert!(deciding(&[]).is_empty());
    assert!(deciding(std::slice::from_ref(&ahead)).is_empty());
    assert!(deciding(&[ahead.clone(), behind]).is_empty());
    // Who must come first is not chosen by any factor, and lets the others' choice be what it is.
    let must = Candidate { mandatory: true, ..candidate("must", [1.0, 9.0, 900.0, 9.0]) };
    assert!(deciding(&[must.clone(), ahead]).is_empty());
    let [(factor, first, second), ..] = BY_ONE;
    assert_eq!(deciding(&[must, candidate("first", first), candidate("second", second)]), [factor]);
}

fn fallen(id: &str, stage: FunnelStage, component: &'static str, code: RejectionCode) -> Rejection {
    Rejection { action_id: Name::from(id), stage, component: component.into(), code, until: None }
}

/// `survivors`, of whom the first is offered with this probability, beside those that were lost.
fn decision(
    stage: Stage,
    survivors: Vec<Candidate>,
    choice_probability: f64,
    lost: Vec<Rejection>,
) -> Decision {
    let mut survivors = survivors.into_iter();
    let actions: Vec<Candidate> = survivors.next().into_iter().collect();
    let outranked: Vec<Candidate> = survivors.collect();
    let outran = |one: &Candidate| {
        fallen(&one.action_id, FunnelStage::Arbitration, "priority", RejectionCode::Outranked)
    };
    let why: Vec<Rejection> = outranked.iter().map(outran).collect();
    Decision {
        outcome: if actions.is_empty() { DecisionOutcome::NoAction } else { DecisionOutcome::Offer },
        lifecycle_stage: stage,
        suppressed: lost.into_iter().chain(why).collect(),
        actions,
        outranked,
        choice_probability,
        degraded: Vec::new(),
    }
}

/// Decisions over two actions of the shop, with who belongs to which control group. All numbers are quarters of whole
/// ones, so that their sums are the same in any order.
fn decisions() -> Vec<(Decision, Assignment)> {
    let [first, second] = ["newsletter", "bundle"];
    let capped = |id| fallen(id, FunnelStage::ContactPolicy, "two_a_week", RejectionCode::CapReached);
    let stage = |id| fallen(id, FunnelStage::Eligibility, "lifecycle_stage", RejectionCode::StageNotEligible);
    let (neither, policy, model) = (
        Assignment::default(),
        Assignment { policy: true, model: false },
        Assignment { policy: false, model: true },
    );
    let mut all: Vec<(Decision, Assignment)> = BY_ONE
        .iter()
        .map(|(_, a, b)| {
            let both = vec![candidate(first, *a), candidate(second, *b)];
            (decision(Stage::Active, both, 0.75, Vec::new()), neither)
        })
        .collect();
    let alone = candidate(second, [0.5, 1.0, 100.0, 1.0]);
    all.extend([
        (decision(Stage::Loyal, vec![alone.clone()], 1.0, vec![capped(first)]), model),
        (decision(Stage::Loyal, vec![alone], 1.0, vec![stage(first)]), neither),
        (decision(Stage::New, Vec::new(), 1.0, vec![stage(first), stage(second)]), policy),
        (decision(Stage::AtRisk, Vec::new(), 1.0, vec![capped(first), stage(second)]), neither),
    ]);
    all
}

fn tally(decisions: &[(Decision, Assignment)]) -> Tally {
    let mut tally = Tally::default();
    decisions.iter().for_each(|(decision, control)| tally.count(decision, *control));
    tally
}

#[test]
fn parts_that_are_merged_are_what_is_tallied_at_once() {
    let all = decisions();
    let whole = tally(&all);
    for at in 0..=all.len() {
        let (early, late) = all.split_at(at);
        let mut merged = tally(early);
        merged.merge(tally(late));
        assert_eq!(merged, whole, "parted at {at}");
        let mut turned = tally(late);
        turned.merge(tally(early));
        assert_eq!(turned, whole, "parted at {at}");
    }
    let mut one_by_one = Tally::default();
    all.chunks(1).for_each(|one| one_by_one.merge(tally(one)));
    assert_eq!(one_by_one, whole);
}

#[test]
fn a_report_counts_what_was_decided() {
    let project = Project::read(|file| {
        std::fs::read_to_string(format!("{}/../examples/shop/{file}", env!("CARGO_MANIFEST_DIR")))
    })
    .unwrap();
    let report = tally(&decisions()).report(&project, None, as_of());
    assert_eq!(report.n_customers, 8);
    let outcomes = [("no_action", 2), ("offer", 6)];
    assert_eq!(report.outcomes, BTreeMap::from(outcomes.map(|(name, n)| (name.to_owned(), n))));
    let stages = [("active", 4), ("at_risk", 1), ("loyal", 2), ("new", 1)];
    assert_eq!(report.stages, BTreeMap::from(stages.map(|(name, n)| (name.to_owned(), n))));
    let reach = |id: &str| report.actions.iter().find(|action| action.action_id == id).unwrap();
    let (newsletter, bundle) = (reach("newsletter"), reach("bundle"));
    assert_eq!((newsletter.n_survived, newsletter.n_first, newsletter.share_first), (4, 4, 0.5));
    // (50 + 3 x 75) / 4, and (37.5 + 5 x 50) / 6
    assert_eq!((newsletter.mean_priority, bundle.mean_priority), (Some(68.75), Some(287.5 / 6.0)));
    assert_eq!((bundle.n_survived, bundle.n_first, bundle.share_first), (6, 2, 0.25));
    // Whom another action came before is not lost; what loses most stands first, and of equals the earlier step.
    let lost = |reach: &ActionReach| -> Vec<(FunnelStage, u64)> {
        reach.losses.iter().map(|loss| (loss.stage, loss.n_customers)).collect()
    };
    assert_eq!(lost(newsletter), [(FunnelStage::Eligibility, 2), (FunnelStage::ContactPolicy, 2)]);
    assert_eq!(lost(bundle), [(FunnelStage::Eligibility, 2)]);
    assert_eq!((reach("renew").n_survived, reach("renew").mean_priority), (0, None));
    for one in &report.sensitivity {
        // Four had a choice, each by another factor.
        assert_eq!((one.n_choices, one.n_changed), (4, 1), "{:?}", one.factor);
        assert_eq!(one.share.unwrap().value, 0.25);
    }
    // (4 x 0.75 + 2 x 1) / 6
    assert_eq!(report.mean_choice_probability, Some(5.0 / 6.0));
    let members = report.control.iter().map(|group| (group.group, group.n_members));
    assert_eq!(members.collect::<Vec<_>>(), [("policy", 1), ("model", 1)]);
}

#[test]
fn chi_squared_meets_the_tables() {
    // Upper 5 % points of the chi-squared distribution.
    for (value, degrees) in [(3.841, 1), (5.991, 2), (14.067, 7), (18.307, 10)] {
        assert!((chi_squared_above(value, degrees) - 0.05).abs() < 0.003, "{degrees}");
    }
    assert!((normal_above(1.959_964) - 0.025).abs() < 1e-6);
    assert!((normal_above(-1.0) - 0.841_344_75).abs() < 1e-6);
}

#[test]
fn a_group_that_takes_one_stage_alone_is_found() {
    let fair = BTreeMap::from([(Stage::New, [10_000, 200, 0]), (Stage::Loyal, [10_000, 210, 0])]);
    let skewed = BTreeMap::from([(Stage::New, [10_000, 300, 0]), (Stage::Loyal, [10_000, 100, 0])]);
    assert!(control_check("policy", 0.02, &fair, 1).p_value > 0.3);
    assert!(control_check("policy", 0.02, &skewed, 1).p_value < 1e-6);
}
