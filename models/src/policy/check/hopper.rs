//! The hopper: campaigns of actions and channels that exist, each once, within bounds.

use super::Faults;
use crate::policy::file::PolicyFile;
use crate::policy::hopper::{Campaign, is_capacity};

/// Every campaign's faults are told at its line `action = "..."`, behind this.
const WITHIN: &str = "[[hopper.campaign]]";
const MAX_CONTACTS: f64 = 1e6;

/// Checks `[hopper]`; gives warnings.
pub(super) fn check(file: &PolicyFile, faults: &mut Faults) -> Vec<String> {
    let rules = &file.hopper;
    for budget in file.budgets.iter().filter(|budget| is_capacity(&budget.id)) {
        let message =
            format!("budget {:?}: ids of this beginning are those of the hopper's capacities", budget.id);
        faults.add(&budget.id, message);
    }
    if rules.campaigns.is_empty() {
        return Vec::new();
    }
    faults.range("[hopper]", "reserve_minutes", rules.reserve_minutes.into(), 1.0, 10_080.0);
    for (at, campaign) in rules.campaigns.iter().enumerate() {
        for message in wrong(campaign, &rules.campaigns[..at], file) {
            let message = format!("hopper campaign {:?}: {message}", campaign.action);
            faults.near(WITHIN, &format!("\"{}\"", campaign.action), message);
        }
    }
    let live = file.contact.reserve_minutes;
    let short = rules.reserve_minutes <= live;
    let warning = || {
        format!(
            "[hopper] reserve_minutes {}: no longer than that of a live decision ({live}); a list is worked off over hours",
            rules.reserve_minutes
        )
    };
    short.then(warning).into_iter().collect()
}

fn wrong(campaign: &Campaign, before: &[Campaign], file: &PolicyFile) -> Vec<String> {
    let mut wrong = Vec::new();
    match file.actions.iter().find(|action| action.id == campaign.action) {
        None => wrong.push("no action has this id".to_owned()),
        Some(action) => {
            if let Some(channel) = &campaign.channel
                && !action.treatments.iter().any(|treatment| treatment.channel == *channel)
            {
                wrong.push(format!("the action has no treatment for the channel {channel:?}"));
            }
        }
    }
    if before.iter().any(|other| campaign.overlaps(other)) {
        wrong.push("it stands twice; two campaigns of an action need two channels".to_owned());
    }
    if f64::from(campaign.max_contacts) > MAX_CONTACTS {
        wrong.push(format!("max_contacts {} lies outside 0 ..= {MAX_CONTACTS}", campaign.max_contacts));
    }
    if let Some(cost) = campaign.max_cost_minor.filter(|cost| *cost < 0) {
        wrong.push(format!("max_cost_minor {cost} is below 0"));
    }
    wrong
}
