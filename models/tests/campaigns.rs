//! The example shop as a template of campaigns: one of each of the ten types, told in words from trigger to exit, judged by
//! something the project learns, and shown by cases on both sides. That the cases are right is checked when it is read.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use nextbest_models::action::{Action, CampaignType};
use nextbest_models::project::Project;

/// The example shop.
fn shop() -> Project {
    let text = |file: &str| match file {
        "nextbest.toml" => include_str!("../../examples/shop/nextbest.toml"),
        "features.toml" => include_str!("../../examples/shop/features.toml"),
        "policy.toml" => include_str!("../../examples/shop/policy.toml"),
        _ => include_str!("../../examples/shop/pricing.toml"),
    };
    Project::read(|file| Ok(text(file).to_owned())).unwrap()
}

/// The actions of `project` that belong to a campaign of this type.
fn of_type(project: &Project, campaign_type: CampaignType) -> Vec<&Action> {
    project.policy.actions().filter(|action| action.campaign_type == campaign_type).collect()
}

#[test]
fn each_of_the_ten_campaign_types_has_an_action() {
    let project = shop();
    // A service message belongs to no campaign.
    let campaigns = CampaignType::ALL.into_iter().filter(|one| *one != CampaignType::Service);
    assert_eq!(campaigns.clone().count(), 10);
    for campaign_type in campaigns {
        assert!(!of_type(&project, campaign_type).is_empty(), "no action for {}", campaign_type.as_str());
    }
}

#[test]
fn each_action_says_what_sets_it_off_what_ends_it_and_by_what_it_is_judged() {
    for action in shop().policy.actions() {
        for (name, text) in [("trigger", &action.trigger), ("exit", &action.exit), ("kpi", &action.kpi)] {
            assert!(!text.trim().is_empty(), "{} has no {name}", action.id);
        }
    }
}

#[test]
fn each_action_is_about_something_the_project_learns() {
    let project = shop();
    let settings = &project.settings;
    for action in project.policy.actions() {
        let name = &action.propensity;
        let is_known = settings.responses.contains_key(name) || settings.labels.contains_key(name);
        assert!(is_known, "{} is about {name:?}, which nextbest.toml does not have", action.id);
    }
}

#[test]
fn each_action_shows_a_customer_who_gets_it_and_one_who_does_not() {
    for action in shop().policy.actions() {
        for offered in [true, false] {
            let is_shown = action.examples.iter().any(|example| example.offered == offered);
            assert!(is_shown, "{} has no example with offered = {offered}", action.id);
        }
    }
}

#[test]
fn each_example_says_in_which_stage_its_customer_is() {
    for action in shop().policy.actions() {
        for example in &action.examples {
            assert!(example.given.contains_key("customer.stage"), "{}: {:?}", action.id, example.given);
        }
    }
}
