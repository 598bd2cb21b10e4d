//! The decision: every step of the funnel, the order of what survives, and that the log is enough to decide again.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use nextbest_models::customer::contacts::Reply;
use nextbest_models::decision::{Context, Name};
use nextbest_models::decision::{
    Decision, DecisionOutcome, Direction, FunnelStage, Rejection, RejectionCode,
};
use nextbest_models::event::AttributeValue;
use nextbest_models::lifecycle::{Cause, ContactState, Stage, Standing};
use nextbest_models::policy::contact::PastContact;
use nextbest_models::policy::control::Assignment;
use nextbest_models::policy::file::PolicyFile;
use nextbest_models::policy::{Policy, PolicyFault, Question, Situation, decide};
use nextbest_models::posterior::Evidence;
use nextbest_models::units::{Probability, Seed, Timestamp};
use proptest::prelude::*;

mod arbitration;
mod limits;

const FEATURES: [&str; 2] = ["orders_90d", "recency"];
const LABELS: [&str; 2] = ["churn", "conversion"];
const RESPONSES: [&str; 1] = ["accepted"];

fn read(text: &str) -> Result<Policy, Vec<PolicyFault>> {
    let file: PolicyFile = toml::from_str(text).unwrap();
    Policy::new(file, &LABELS.map(str::to_owned), &RESPONSES.map(str::to_owned), &FEATURES.map(str::to_owned))
}

fn policy(text: &str) -> Policy {
    read(text).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-06-15T12:00:00Z")
}

fn p(value: f64) -> Probability {
    Probability::new(value).unwrap()
}

/// An active customer with orders, scored by both models.
fn situation() -> Situation {
    Situation {
        now: now(),
        seed: Seed(7),
        known: true,
        standing: Standing {
            stage: Stage::Active,
            since: now().day().plus(-20),
            cause: Cause::CountThreshold,
            contact: ContactState::Listening,
        },
        features: vec![4.0, 12.0],
        scores: vec![Some(p(0.3)), Some(p(0.2))],
        base_rates: vec![Some(p(0.25)), Some(p(0.1))],
        offers: Vec::new(),
        n_learned: Vec::new(),
        response_rates: vec![Some(p(0.05))],
        recent_value_minor: 10_000,
        purchase_summary: None,
        lifetime_value_minor: None,
        contacts: Vec::new(),
        consent: Default::default(),
        objected: false,
        control: Assignment::default(),
        evidence: Default::default(),
        exhausted: Default::default(),
        limits_unknown: false,
    }
}

fn question() -> Question {
    Question { max_actions: 1, ..Question::default() }
}

fn contact(days_ago: i32, action: &str, channel: &str, reply: Reply) -> PastContact {
    PastContact { reply, ..PastContact::reserved(now().plus_days(-days_ago), action, channel) }
}

/// An action of `id` worth `value`, with more lines of its table.
fn action(id: &str, value: i64, more: &str) -> String {
    format!(
        "[[action]]\nid = \"{id}\"\ncampaign_type = \"upsell\"\nstages = [\"active\"]\npropensity = \"conversion\"\n\
         value = {{ fixed_minor = {value} }}\n{more}\n[[action.treatment]]\nid = \"{id}_email\"\nchannel = \"email\"\n"
    )
}

fn two() -> String {
    action("big", 1000, "group = \"g\"") + &action("small", 100, "")
}

fn first(decision: &Decision) -> &str {
    &decision.actions[0].action_id
}

fn fall<'a>(decision: &'a Decision, action: &str) -> &'a Rejection {
    decision.suppressed.iter().find(|fallen| &*fallen.action_id == action).unwrap()
}

fn assert_fall(decision: &Decision, action: &str, stage: FunnelStage, component: &str, code: RejectionCode) {
    let fallen = fall(decision, action);
    assert_eq!((fallen.stage, &*fallen.component, fallen.code), (stage, component, code));
}

#[test]
fn the_highest_priority_wins_and_the_rest_says_why() {
    let decision = decide(&policy(&two()), &situation(), &question());
    assert_eq!((first(&decision), decision.outcome), ("big", DecisionOutcome::Offer));
    assert_eq!(decision.actions[0].priority, 200.0);
    assert_fall(&decision, "small", FunnelStage::Arbitration, "priority", RejectionCode::Outranked);
    assert_eq!(decision.outranked.len(), 1);
}

#[test]
fn each_step_holds_back_with_its_own_code() {
    let cases = [
        (
            "stages = [\"loyal\"]",
            FunnelStage::Eligibility,
            "lifecycle_stage",
            RejectionCode::StageNotEligible,
        ),
        (
            "eligibility = [\"features.orders_90d > 5\"]",
            FunnelStage::Eligibility,
            "eligibility[0]",
            RejectionCode::RuleNotMet,
        ),
        (
            "applicability = [{ rule = \"context.placement == 'basket'\", code = \"not_in_basket\" }]",
            FunnelStage::Applicability,
            "not_in_basket",
            RejectionCode::FactMissing,
        ),
        (
            "suitability = [\"scores.churn < 0.1\"]",
            FunnelStage::Suitability,
            "suitability[0]",
            RejectionCode::RuleNotMet,
        ),
        (
            "available_from = \"2026-07-01T00:00:00Z\"",
            FunnelStage::Availability,
            "available_from",
            RejectionCode::NotYetAvailable,
        ),
        (
            "available_until = \"2026-06-15T12:00:00Z\"",
            FunnelStage::Availability,
            "available_until",
            RejectionCode::Expired,
        ),
        ("follows = [\"small\"]", FunnelStage::Eligibility, "follows", RejectionCode::PredecessorMissing),
    ];
    for (line, stage, component, code) in cases {
        let text = action("big", 1000, line) + &action("small", 100, "");
        let text =
            if line.starts_with("stages") { text.replacen("stages = [\"active\"]\n", "", 1) } else { text };
        let decision = decide(&policy(&text), &situation(), &question());
        assert_fall(&decision, "big", stage, component, code);
        assert_eq!(first(&decision), "small");
    }
    let later = decide(
        &policy(&action("big", 1000, "available_from = \"2026-07-01T00:00:00Z\"")),
        &situation(),
        &question(),
    );
    assert_eq!(fall(&later, "big").until, Some(at("2026-07-01T00:00:00Z")));
}

#[test]
fn consent_goes_before_limits_and_the_callers_word_before_the_states() {
    let text = two() + "[[channel]]\nid = \"email\"\nconsent = \"opt_in\"\n";
    let policy = policy(&text);
    let decision = decide(&policy, &situation(), &question());
    assert_fall(&decision, "big", FunnelStage::Consent, "email", RejectionCode::NoConsent);
    assert_eq!(decision.outcome, DecisionOutcome::NoAction);
    let consenting = Situation { consent: [("email".to_owned(), true)].into(), ..situation() };
    assert_eq!(first(&decide(&policy, &consenting, &question())), "big");
    let denied = Question { consent: [("email".to_owned(), false)].into(), ..question() };
    assert!(decide(&policy, &consenting, &denied).actions.is_empty());
}

#[test]
fn mandatory_comes_first_whatever_it_is_worth_and_says_what_it_was_exempt_from() {
    let text = two() + &action("must", 0, "mandatory = true");
    let cap = "[[cap]]\nid = \"none_left\"\nmax = 1\nwindow_days = 7\n";
    let contacts = vec![contact(1, "big", "email", Reply::Pending)];
    let asked = Question { max_actions: 3, ..question() };
    let capped = policy(&(text.clone() + cap));
    let decision = decide(&capped, &Situation { contacts, ..situation() }, &asked);
    assert_eq!((first(&decision), decision.actions.len()), ("must", 1));
    // Exempt itself, it counts for the others.
    assert_eq!(decide(&capped, &situation(), &asked).actions.len(), 1);
    assert_eq!(decision.actions[0].exempt_from, [Name::from("none_left")]);
    let decision = decide(&policy(&text), &situation(), &asked);
    let order: Vec<&str> = decision.actions.iter().map(|action| &*action.action_id).collect();
    assert_eq!(order, ["must", "big", "small"]);
}

#[test]
fn the_control_group_gets_service_alone_and_the_model_control_the_average() {
    let service = action("notice", 10, "").replace("upsell", "service");
    let policy = policy(&(two() + &service));
    let held = Situation { control: Assignment { policy: true, model: false }, ..situation() };
    let decision = decide(&policy, &held, &question());
    assert_eq!(first(&decision), "notice");
    assert_fall(&decision, "big", FunnelStage::Control, "policy_control", RejectionCode::ControlGroup);
    let only = Question { candidate_actions: vec!["big".to_owned()], ..question() };
    assert_eq!(decide(&policy, &held, &only).outcome, DecisionOutcome::Control);
    let model = Situation { control: Assignment { policy: false, model: true }, ..situation() };
    assert_eq!(decide(&policy, &model, &question()).actions[0].factors.propensity, p(0.1));
}

#[test]
fn who_objected_gets_no_automated_offer() {
    let decision = decide(&policy(&two()), &Situation { objected: true, ..situation() }, &question());
    assert_fall(&decision, "big", FunnelStage::Consent, "objection", RejectionCode::Objected);
}

#[test]
fn without_a_model_a_prior_speaks_and_without_either_the_fallback() {
    let prior = "prior = { propensity = 0.05, evidence = 50 }";
    let blind = Situation { scores: vec![None, None], ..situation() };
    let decision =
        decide(&policy(&(action("big", 1000, prior) + &action("small", 100, ""))), &blind, &question());
    assert_eq!((first(&decision), decision.actions[0].factors.propensity), ("big", p(0.05)));
    assert_eq!(decision.degraded, ["no_model:conversion", "prior_only:conversion"]);
    let text = two()
        + &action("last", 10, &format!("stages_unused = 1\n{prior}")).replace("stages_unused = 1\n", "")
        + "[fallback]\naction = \"last\"\n";
    let text = text.replacen(
        "id = \"last\"\ncampaign_type = \"upsell\"\nstages = [\"active\"]",
        "id = \"last\"\ncampaign_type = \"upsell\"\nstages = [\"loyal\"]",
        1,
    );
    let decision = decide(&policy(&text), &blind, &question());
    assert_eq!((first(&decision), decision.outcome), ("last", DecisionOutcome::Offer));
    let decision = decide(&policy(&two()), &blind, &question());
    assert_eq!(decision.outcome, DecisionOutcome::Fallback);
}

#[test]
fn outcomes_of_an_action_correct_its_model() {
    let evidence = Evidence { n_outcomes: 10_000, n_successes: 500, expected: 2_000.0 };
    let tried = Situation { evidence: [(Name::from("big"), evidence)].into(), ..situation() };
    let decision = decide(&policy(&two()), &tried, &question());
    // A quarter of what the model expects: 0.2 x (500 + 20) / (2000 + 20).
    let expected = 0.2 * 520.0 / 2020.0;
    assert!((decision.actions[0].factors.propensity.get() - expected).abs() < 1e-12);
}

/// One action about a response, in two forms, of which the second costs 20.
fn by_response(more: &str) -> Policy {
    let text = action("big", 1000, more).replace("\"conversion\"", "\"accepted\"");
    policy(&(text + "[[action.treatment]]\nid = \"big_push\"\nchannel = \"push\"\ncost_minor = 20\n"))
}

#[test]
fn a_response_model_chooses_the_treatment_that_is_worth_most() {
    let policy = by_response("");
    let treatment = |email, push| {
        let offers = vec![Some(p(email)), Some(p(push))];
        let decision = decide(&policy, &Situation { offers, ..situation() }, &question());
        (decision.actions[0].treatment_id.to_string(), decision.actions[0].factors.propensity)
    };
    // 20 for the push are 0.02 of the value.
    assert_eq!(treatment(0.10, 0.13), ("big_push".to_owned(), p(0.13)));
    assert_eq!(treatment(0.10, 0.11), ("big_email".to_owned(), p(0.10)));
    assert_eq!(treatment(0.10, 0.12), ("big_email".to_owned(), p(0.10)));
    // Where the best form is not consented to, the other one.
    let consent = [("push".to_owned(), false)].into();
    let asked = Question { consent, ..question() };
    let told = Situation { offers: vec![Some(p(0.1)), Some(p(0.9))], ..situation() };
    assert_eq!(&*decide(&policy, &told, &asked).actions[0].channel, "email");
    let nowhere = Question {
        context: Context { channel: Some("phone".to_owned()), ..Context::default() },
        ..question()
    };
    let decision = decide(&policy, &told, &nowhere);
    assert_fall(&decision, "big", FunnelStage::Treatment, "channel", RejectionCode::NoTreatmentForChannel);
}

#[test]
fn what_a_response_model_learned_counts_as_evidence_of_an_action() {
    let policy = by_response("prior = { propensity = 0.5, evidence = 100 }");
    let propensity = |n_learned: u64, offers: Vec<Option<Probability>>| {
        let told = Situation { n_learned: vec![n_learned], offers, ..situation() };
        let first = decide(&policy, &told, &question()).actions[0].clone();
        (first.factors.propensity.get(), first.maturity.n_outcomes)
    };
    let offers = || vec![Some(p(0.1)), Some(p(0.1))];
    assert_eq!(propensity(0, offers()), (0.5, 0));
    let (mixed, n_outcomes) = propensity(300, offers());
    assert!((mixed - (0.5 + 0.75 * (0.1 - 0.5))).abs() < 1e-12 && n_outcomes == 300);
    // No model spoke: the prior does, and the answer says so.
    let blind = Situation { offers: Vec::new(), ..situation() };
    let decision = decide(&policy, &blind, &question());
    assert_eq!(decision.actions[0].factors.propensity, p(0.5));
    assert_eq!(decision.degraded, ["prior_only:accepted"]);
}

#[test]
fn the_model_control_is_decided_by_the_average_response() {
    let control = Assignment { policy: false, model: true };
    let told = Situation { offers: vec![Some(p(0.9)), Some(p(0.9))], control, ..situation() };
    let decision = decide(&by_response(""), &told, &question());
    assert_eq!(decision.actions[0].factors.propensity, p(0.05));
    assert_eq!(&*decision.actions[0].treatment_id, "big_email");
}

#[test]
fn rules_do_not_speak_of_responses() {
    let faults =
        read(&two().replacen("group = \"g\"", "eligibility = [\"scores.accepted > 0.1\"]", 1)).unwrap_err();
    assert!(faults[0].message.contains("scores.accepted"), "{faults:?}");
}

#[test]
fn a_channel_of_one_direction_takes_no_part_in_the_other() {
    let channel = "[[channel]]\nid = \"email\"\ndirection = \"outbound\"\n";
    let policy = policy(&(two() + channel));
    let offered = |direction| {
        let asked = Question { context: Context { direction, ..Context::default() }, ..question() };
        decide(&policy, &situation(), &asked).actions.len()
    };
    assert_eq!((offered(Some(Direction::Outbound)), offered(None)), (1, 1));
    assert_eq!(offered(Some(Direction::Inbound)), 0);
}

#[test]
fn context_weights_levers_and_costs_take_part() {
    let text = two().replacen("id = \"small_email\"", "id = \"small_email\"\ncost_minor = 3", 1)
        + "[context]\nbasket_minor = \"number\"\n[[context_weight]]\naction = \"small\"\nrule = \"context.basket_minor > 100.0\"\nweight = 20.0\n";
    let basket = |amount| Question {
        context: Context {
            attributes: [("basket_minor".to_owned(), AttributeValue::Number(amount))].into(),
            ..Context::default()
        },
        ..question()
    };
    assert_eq!(first(&decide(&policy(&text), &situation(), &basket(50.0))), "big");
    let decision = decide(&policy(&text), &situation(), &basket(500.0));
    assert_eq!((first(&decision), decision.actions[0].factors.context_weight), ("small", 20.0));
    let dear = two().replacen("id = \"big_email\"", "id = \"big_email\"\ncost_minor = 500", 1);
    let decision = decide(&policy(&dear), &situation(), &question());
    assert_fall(&decision, "big", FunnelStage::Arbitration, "worth", RejectionCode::BelowMinPriority);
    let dated = action(
        "big",
        1000,
        "levers = [{ weight = 0.01, until = \"2026-06-16T00:00:00Z\" }, { weight = 9.0, from = \"2026-06-16T00:00:00Z\" }]",
    ) + &action("small", 100, "");
    assert_eq!(first(&decide(&policy(&dated), &situation(), &question())), "small");
    let tomorrow = Situation { now: now().plus_days(1), ..situation() };
    assert_eq!(decide(&policy(&dated), &tomorrow, &question()).actions[0].factors.lever, 9.0);
}

#[test]
fn faults_name_place_value_and_bound_all_at_once() {
    let text = action("a", 1, "eligibility = [\"features.order_90d > 2\"]\nlever = -1.0\nfollows = [\"b\"]")
        + &action("b", -4, "follows = [\"a\"]\nvalid_days = 900")
        + "[exploration]\nkind = \"epsilon_softmax\"\nepsilon = 1.5\ntemperature = 1.0\n\
           [[cap]]\nid = \"c\"\ngroup = \"nobody\"\nmax = 0\nwindow_days = 7\n\
           [[budget]]\nid = \"d\"\nperiod = \"week\"\n[fallback]\naction = \"zz\"\n";
    let faults = read(&text).unwrap_err();
    let told: Vec<String> = faults.iter().map(|fault| fault.message.clone()).collect();
    let told = told.join("\n");
    for part in [
        "orders_90d",
        "lever -1 lies outside 0 ..= 100",
        "fixed_minor -4 is below 0",
        "valid_days 900 lies outside 1 ..= 365",
        "none of them ever comes first",
        "epsilon 1.5 lies outside 0 ..= 1",
        "no action has the group \"nobody\"",
        "max 0 lies outside 1 ..= 1000",
        "needs max_contacts or max_cost_minor",
        "no action is called \"zz\"",
    ] {
        assert!(told.contains(part), "{part} is not in\n{told}");
    }
}

#[test]
fn contradictions_and_idle_caps_are_warnings() {
    let text = action(
        "a",
        1,
        "eligibility = [\"features.orders_90d > 5\"]\nsuitability = [\"features.orders_90d < 3\"]",
    ) + "[[cap]]\nid = \"tight\"\nmax = 1\nwindow_days = 30\n[[cap]]\nid = \"loose\"\nmax = 2\nwindow_days = 7\n";
    let warnings = policy(&text).warnings().join("\n");
    assert!(warnings.contains("action \"a\" reaches nobody"), "{warnings}");
    assert!(warnings.contains("cap \"loose\" (2 in 7 days) never binds"), "{warnings}");
}

#[test]
fn examples_are_decided_when_the_file_is_read() {
    let case = |given: &str, offered: bool| {
        action("a", 1, "eligibility = [\"features.orders_90d > 2\"]")
            + &format!("[[action.example]]\ngiven = {{ {given} }}\noffered = {offered}\n")
    };
    assert!(read(&case("\"features.orders_90d\" = 3", true)).is_ok());
    let wrong = |given: &str, offered| read(&case(given, offered)).unwrap_err()[0].message.clone();
    assert!(wrong("\"features.orders_90d\" = 3", false).contains("says offered = false"));
    assert!(wrong("\"features.order\" = 3", true).contains("is no name that rules know"));
    assert!(wrong("\"customer.stage\" = \"gone\"", true).contains("is none of"));
}

fn any_situation() -> impl Strategy<Value = Situation> {
    let score = proptest::option::of(0.0..=1.0f64);
    let number = prop_oneof![Just(f64::NAN), -5.0..50.0f64];
    let contact = (0..120i32, 0..3usize, 0..2usize, 0..4usize).prop_map(|(days, action, channel, reply)| {
        let reply = [Reply::Pending, Reply::Answered, Reply::Ignored, Reply::Rejected][reply];
        contact(days, ["big", "small", "gone"][action], ["email", "push"][channel], reply)
    });
    let contacts = proptest::collection::vec(contact, 0..12);
    (score.clone(), score, number.clone(), number, contacts, any::<u64>(), any::<bool>()).prop_map(
        |(churn, conversion, orders, recency, mut contacts, seed, objected)| {
            contacts.sort_by_key(|contact| std::cmp::Reverse(contact.at));
            Situation {
                scores: vec![churn.map(p), conversion.map(p)],
                features: vec![orders, recency],
                contacts,
                seed: Seed(seed),
                objected: objected && seed % 4 == 0,
                ..situation()
            }
        },
    )
}

const RICH: &str = "
    [exploration]
    kind = \"thompson\"
    evidence = 300.0
    floor = 0.01
    [[cap]]
    id = \"week\"
    max = 2
    window_days = 7
    [[suppression]]
    id = \"quiet\"
    after = \"ignored\"
    times = 2
    within_days = 30
    silent_days = 60
";

proptest! {
    /// Every action has exactly one place, probabilities of the open candidates sum to 1, the same inputs give the same
    /// decision, and the situation survives its JSON so that the log decides again bit for bit.
    #[test]
    fn decisions_are_total_and_repeatable(situation in any_situation(), max_actions in 1u32..4) {
        let text = RICH.to_owned() + &two() + &action("third", 300, "eligibility = [\"features.recency < 20.0\"]");
        let policy = policy(&text);
        let question = Question { max_actions, ..Question::default() };
        let decision = decide(&policy, &situation, &question);
        let places = decision.actions.len() + decision.suppressed.len();
        prop_assert_eq!(places, policy.actions().len());
        prop_assert!(decision.actions.len() <= max_actions as usize);
        let all = decision.actions.iter().chain(&decision.outranked);
        let sum: f64 = all.clone().map(|candidate| candidate.choice_probability).sum();
        prop_assert!(all.count() == 0 || (sum - 1.0).abs() < 1e-12, "{}", sum);
        let json = serde_json::to_string(&situation).unwrap();
        let read: Situation = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(&decide(&policy, &read, &question), &decision);
        let json = serde_json::to_string(&decision).unwrap();
        prop_assert_eq!(serde_json::from_str::<Decision>(&json).unwrap(), decision);
    }
}
