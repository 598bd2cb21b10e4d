//! Limits: names that exist, bounds, and what cannot hold or never binds.

use std::collections::BTreeSet;

use super::{Faults, Limit};
use crate::action::Action;
use crate::policy::file::PolicyFile;

/// Checks all limits; gives warnings.
pub(super) fn check(file: &PolicyFile, faults: &mut Faults) -> Vec<String> {
    every(&file.caps, file, faults);
    every(&file.suppressions, file, faults);
    every(&file.budgets, file, faults);
    for cap in &file.caps {
        faults.range(&cap.id, "max", cap.max.into(), 1.0, 1000.0);
        faults.range(&cap.id, "window_days", cap.window_days.into(), 1.0, 400.0);
    }
    for rule in &file.suppressions {
        faults.range(&rule.id, "times", rule.times.into(), 1.0, 100.0);
        faults.range(&rule.id, "within_days", rule.within_days.into(), 1.0, 400.0);
        faults.range(&rule.id, "silent_days", rule.silent_days.into(), 1.0, 400.0);
    }
    for budget in &file.budgets {
        let id = &budget.id;
        match (budget.max_contacts, budget.max_cost_minor) {
            (None, None) => faults.add(id, format!("budget {id:?} needs max_contacts or max_cost_minor")),
            (_, Some(cost)) if cost < 0 => {
                faults.near(id, "max_cost_minor", format!("budget {id:?}: max_cost_minor {cost} is below 0"));
            }
            _ => {}
        }
    }
    let mut warnings = never_bind(file);
    let empty = file.budgets.iter().filter(|budget| budget.max_contacts == Some(0));
    warnings.extend(empty.map(|budget| {
        format!("budget {:?} has max_contacts = 0: nothing that draws on it is ever offered", budget.id)
    }));
    warnings
}

fn every<L: Limit>(limits: &[L], file: &PolicyFile, faults: &mut Faults) {
    let mut seen = BTreeSet::new();
    for limit in limits {
        let (kind, id, selector) = (L::KIND, limit.id(), limit.selector());
        if id.is_empty() || !seen.insert(id) {
            faults.add(id, format!("{kind} {id:?}: the id is empty or stands twice"));
        }
        let mut named = |what: &str, name: &Option<String>, known: &dyn Fn(&Action, &str) -> bool| {
            let Some(name) = name else { return };
            if !file.actions.iter().any(|action| known(action, name)) {
                faults.near(id, name, format!("{kind} {id:?}: no action has the {what} {name:?}"));
            }
        };
        named("id", &selector.action, &|action, name| action.id == name);
        named("group", &selector.group, &|action, name| action.group == name);
        named("issue", &selector.issue, &|action, name| action.issue == name);
        named("channel", &selector.channel, &|action, name| {
            action.treatments.iter().any(|treatment| treatment.channel == name)
        });
    }
}

/// Two caps on the same, of which the tighter leaves the other nothing to do.
fn never_bind(file: &PolicyFile) -> Vec<String> {
    let mut warnings = Vec::new();
    for (at, loose) in file.caps.iter().enumerate() {
        for (other_at, tight) in file.caps.iter().enumerate() {
            let same = at != other_at
                && tight.selector == loose.selector
                && tight.per == loose.per
                && tight.direction == loose.direction;
            let binds_first = tight.max <= loose.max && tight.window_days >= loose.window_days;
            let equal = tight.max == loose.max && tight.window_days == loose.window_days;
            if same && binds_first && (!equal || other_at < at) {
                warnings.push(format!(
                    "cap {:?} ({} in {} days) never binds: {:?} allows {} in {} days",
                    loose.id, loose.max, loose.window_days, tight.id, tight.max, tight.window_days
                ));
            }
        }
    }
    warnings
}

/// Actions that wait for each other: none of them could ever come first.
pub(super) fn circles(actions: &[Action], faults: &mut Faults) {
    // An action can come once one of those it follows can, or it follows none.
    let mut possible: BTreeSet<&str> = BTreeSet::new();
    loop {
        let more: Vec<&str> = actions
            .iter()
            .filter(|action| {
                action.follows.is_empty() || action.follows.iter().any(|id| possible.contains(id.as_str()))
            })
            .map(|action| action.id.as_str())
            .filter(|id| !possible.contains(id))
            .collect();
        if more.is_empty() {
            break;
        }
        possible.extend(more);
    }
    let waiting: Vec<&Action> =
        actions.iter().filter(|action| !possible.contains(action.id.as_str())).collect();
    for action in &waiting {
        let known = |id: &String| actions.iter().any(|other| other.id == *id);
        if action.follows.iter().all(known) {
            let message = format!(
                "action {:?} follows {}, which waits for it or for itself in turn: none of them ever comes first",
                action.id,
                action.follows.join(", ")
            );
            faults.near(&action.id, "follows", message);
        }
    }
}
