//! The page of a policy over a population: reach, losses in the funnel, sensitivity of the factors, control groups.

use std::fmt::Write as _;

use super::diagnostics::{fine_percent, muted, table};
use super::{details, escape, page, tile_row, whole};
use crate::decisions::{ActionReach, ControlCheck, DecisionReport, Sensitivity, Share, name_of};

/// Losses shown of an action.
const N_LOSSES: usize = 6;

/// The page of `report`.
#[must_use]
pub fn decisions_html(report: &DecisionReport) -> String {
    let offered = report.outcomes.get("offer").copied().unwrap_or(0);
    let share = offered as f64 / (report.n_customers as f64).max(1.0);
    let tiles = [
        (whole(report.n_customers), "customers decided"),
        (fine_percent(share), "get an offer"),
        (
            whole(report.actions.iter().filter(|action| action.n_first > 0).count() as u64),
            "actions come first for somebody",
        ),
        (
            report.mean_choice_probability.map_or("\u{2013}".to_owned(), fine_percent),
            "mean probability of the first",
        ),
    ];
    let sha = report.policy_sha256.get(..16).unwrap_or(&report.policy_sha256);
    let body = format!(
        "<h1>{}</h1><p class=muted>Decisions as of {} \u{b7} policy <code>{sha}\u{2026}</code></p>{}<h2>Reach</h2>{}\
         <h2>Where the funnel loses customers</h2>{}<h2>What decides</h2>{}{}<h2>Control groups</h2>{}<h2>Stages</h2>{}",
        escape(&report.name),
        report.as_of,
        tile_row(&tiles),
        reach(&report.actions),
        losses(&report.actions),
        muted("Share of customers with a choice whose winner changes when the factor counts as 1."),
        sensitivity(&report.sensitivity),
        control(&report.control),
        stages(report),
    );
    page(&report.name, &body)
}

fn bar(share: f64) -> String {
    format!("<div class=bar style=\"width:{:.1}%\"></div>", 100.0 * share.clamp(0.0, 1.0))
}

fn bars(heads: &[&str], rows: &str) -> String {
    table(heads, rows).replacen("<table", "<table class=bars", 1)
}

fn reach(actions: &[ActionReach]) -> String {
    let most = actions.iter().map(|action| action.share_first).fold(f64::MIN_POSITIVE, f64::max);
    let mut rows = String::new();
    for action in actions {
        let priority =
            action.mean_priority.map_or("\u{2013}".to_owned(), |priority| format!("{priority:.0}"));
        let _ = write!(
            rows,
            "<tr{}><td>{}</td><td class=text>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{priority}</td><td>{}</td></tr>",
            if action.n_survived == 0 { " class=flag" } else { "" },
            escape(&action.action_id),
            escape(&action.campaign_type.replace('_', " ")),
            whole(action.n_survived),
            whole(action.n_first),
            fine_percent(action.share_first),
            bar(action.share_first / most),
        );
    }
    bars(
        &["action", "campaign", "survives for", "first for", "share", "mean priority, minor units", ""],
        &rows,
    )
}

fn losses(actions: &[ActionReach]) -> String {
    let mut text = String::new();
    for action in actions {
        let all: u64 = action.losses.iter().map(|loss| loss.n_customers).sum();
        let mut rows = String::new();
        for loss in action.losses.iter().take(N_LOSSES) {
            let _ = write!(
                rows,
                "<tr><td>{}</td><td class=text>{}</td><td class=text>{}</td><td>{}</td><td>{}</td></tr>",
                escape(&name_of(&loss.stage).replace('_', " ")),
                escape(&loss.component),
                escape(&name_of(&loss.code).replace('_', " ")),
                whole(loss.n_customers),
                bar(loss.n_customers as f64 / (all as f64).max(1.0)),
            );
        }
        let summary = format!("{}: {} lost", action.action_id, whole(all));
        text.push_str(&details(&escape(&summary), &bars(&["step", "what", "why", "customers", ""], &rows)));
    }
    text
}

fn interval(share: Option<Share>) -> String {
    share.map_or("\u{2013}".to_owned(), |share| {
        format!(
            "{} <small>({} to {})</small>",
            fine_percent(share.value),
            fine_percent(share.lo),
            fine_percent(share.hi)
        )
    })
}

fn sensitivity(factors: &[Sensitivity]) -> String {
    let mut rows = String::new();
    for one in factors {
        let _ = write!(
            rows,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&name_of(&one.factor).replace('_', " ")),
            whole(one.n_changed),
            interval(one.share),
            bar(one.share.map_or(0.0, |share| share.value)),
        );
    }
    bars(&["factor", "winners that change", "share, 95 % interval", ""], &rows)
}

fn control(groups: &[ControlCheck]) -> String {
    if groups.is_empty() {
        return muted("The policy holds nobody out: what it brings cannot be measured.");
    }
    let mut rows = String::new();
    for group in groups {
        let fair = if group.p_value < 0.001 {
            "not a fair sample of the stages"
        } else {
            "a fair sample of the stages"
        };
        let _ = write!(
            rows,
            "<tr{}><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.3}</td><td class=text>{fair}</td></tr>",
            if group.p_value < 0.001 { " class=flag" } else { "" },
            group.group,
            fine_percent(group.share_asked),
            whole(group.n_members),
            interval(group.share),
            group.p_value,
        );
    }
    table(&["group", "asked for", "members", "share, 95 % interval", "p by chance", "stratification"], &rows)
}

fn stages(report: &DecisionReport) -> String {
    let mut rows = String::new();
    for (stage, n) in &report.stages {
        let share = *n as f64 / (report.n_customers as f64).max(1.0);
        let _ = write!(
            rows,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&stage.replace('_', " ")),
            whole(*n),
            fine_percent(share),
            bar(share),
        );
    }
    bars(&["stage", "customers", "share", ""], &rows)
}
