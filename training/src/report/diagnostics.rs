//! The tables of one model's diagnostics. They format numbers and compute none.

use std::fmt::Write as _;

use nextbest_models::propensity::ReasonSource;

use super::{escape, whole};
use crate::diagnostics::{Diagnostics, Drift, Importance, Interval, Segment, Stability};
use crate::metrics::Estimate;

/// Features of the drift shown; the JSON holds all.
const N_DRIFTS: usize = 20;

/// The tables under the plots.
pub(super) fn tables(diagnostics: &Diagnostics) -> String {
    format!(
        "<h3>What counts</h3>{}{}<h3>Segments</h3>{}<h3>Drift</h3>{}<h3>Model card</h3>{}",
        importance(&diagnostics.importance),
        stability(&diagnostics.stability),
        segments(&diagnostics.segments),
        drift(&diagnostics.drift),
        super::card::card(&diagnostics.card),
    )
}

/// A share with one decimal.
pub(super) fn fine_percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

pub(super) fn plus_minus(estimate: Estimate, digits: usize) -> String {
    format!("{:.digits$} \u{b1} {:.digits$}", estimate.value, estimate.se)
}

pub(super) fn muted(text: &str) -> String {
    format!("<p class=muted>{text}</p>")
}

pub(super) fn table(heads: &[&str], rows: &str) -> String {
    let heads: Vec<String> = heads.iter().map(|head| format!("<th>{head}</th>")).collect();
    format!(
        "<div class=scroll><table><thead><tr>{}</tr></thead><tbody>{rows}</tbody></table></div>",
        heads.concat()
    )
}

fn importance(importance: &Importance) -> String {
    if importance.features.is_empty() {
        return muted("The model has no exact contributions, or no feature contributes.");
    }
    let strongest = importance.features.first().map_or(1.0, |one| one.mean_abs.value);
    let mut rows = String::new();
    for one in &importance.features {
        let _ = write!(
            rows,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td class=text><div class=bar style=\"width:{:.1}%\"></div></td></tr>",
            escape(&one.feature),
            plus_minus(one.mean_abs, 3),
            fine_percent(one.share),
            100.0 * one.mean_abs.value / strongest
        );
    }
    let whose = match importance.source {
        ReasonSource::Model => "the sealed model",
        ReasonSource::LinearCompanion => "the linear model sealed beside it",
    };
    let text = format!(
        "Mean |contribution| to the log-odds, exact for {whose}, over {} sampled rows. {} features contribute, {} shown. \
         Correlated features share what they have in common.",
        whole(importance.n_rows as u64),
        whole(importance.n_used as u64),
        importance.features.len()
    );
    let heads = ["feature", "mean |contribution|", "share", ""];
    table(&heads, &rows).replacen("<table>", "<table class=bars>", 1) + &muted(&text)
}

fn stability(stability: &Stability) -> String {
    let interval = |interval: Option<Interval>| {
        interval.map_or("not told".to_owned(), |i| format!("{:.2} ({:.2} to {:.2})", i.value, i.lo, i.hi))
    };
    let groups = match stability.groups {
        "fit_and_test" => "the rows fitted on and the rows tested on",
        _ => "two random halves of the judged rows",
    };
    muted(&format!(
        "Stability between {groups} ({} and {} rows): rank correlation of the {} strongest {}, overlap of the five \
         strongest {}; 95 % intervals by resampling rows.",
        whole(stability.n_rows[0] as u64),
        whole(stability.n_rows[1] as u64),
        stability.n_features,
        interval(stability.rank_correlation),
        interval(stability.top_overlap)
    ))
}

fn segments(segments: &[Segment]) -> String {
    if segments.is_empty() {
        return muted("No feature divides the judged rows into a few segments.");
    }
    let mut rows = String::new();
    let mut before = "";
    for one in segments {
        let feature = if one.feature == before { String::new() } else { escape(&one.feature) };
        before = &one.feature;
        let (class, mark) = if one.flagged { (" class=flag", " \u{26a0}") } else { ("", "") };
        let _ = write!(
            rows,
            "<tr{class}><td>{feature}</td><td class=level>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{} \u{b1} {}{mark}</td><td>{}</td></tr>",
            escape(&one.level),
            whole(one.n as u64),
            fine_percent(one.rate),
            fine_percent(one.predicted),
            signed_percent(one.bias.value),
            fine_percent(one.bias.se),
            one.auc.map_or("\u{2013}".to_owned(), |auc| plus_minus(auc, 3)),
        );
    }
    let n_flagged = segments.iter().filter(|one| one.flagged).count();
    let text = format!(
        "{n_flagged} of {} segments are flagged: predicted and observed differ by more than three of the standard errors \
         exact probabilities would have. AUC within a segment is lower wherever the segment itself ranks.",
        segments.len()
    );
    let heads = ["feature", "segment", "rows", "observed", "predicted", "predicted \u{2212} observed", "AUC"];
    table(&heads, &rows).replacen("<th>segment", "<th class=level>segment", 1) + &muted(&text)
}

fn signed_percent(share: f64) -> String {
    let text = fine_percent(share.abs());
    if share < 0.0 { format!("\u{2212}{text}") } else { format!("+{text}") }
}

fn drift(drift: &Drift) -> String {
    let (n_fit, n_test, features) = match drift {
        Drift::Measured { n_fit, n_test, features } => (*n_fit, *n_test, features),
        Drift::Omitted { code } => {
            let text = "Not measured: rows lie in folds, so fitted and judged rows are the same";
            return muted(&format!("{text} (<code>{code}</code>)."));
        }
    };
    let mut rows = String::new();
    for one in features.iter().take(N_DRIFTS) {
        let (class, mark) = if one.beyond_chance { (" class=flag", " \u{26a0}") } else { ("", "") };
        let _ = write!(
            rows,
            "<tr{class}><td>{}</td><td>{:.4}{mark}</td><td>{:.4}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&one.feature),
            one.psi,
            one.by_chance,
            one.n_bins,
            fine_percent(one.missing_fit),
            fine_percent(one.missing_test),
        );
    }
    let n_beyond = features.iter().filter(|one| one.beyond_chance).count();
    let text = format!(
        "{} sampled rows fitted on against {} tested on: {n_beyond} of {} features moved beyond chance by over three \
         standard deviations; {} shown. An index below 0.1 is commonly read as small, above 0.25 as large.",
        whole(n_fit as u64),
        whole(n_test as u64),
        features.len(),
        features.len().min(N_DRIFTS)
    );
    let heads =
        ["feature", "stability index", "by chance", "bins", "missing when fitted", "missing when tested"];
    table(&heads, &rows) + &muted(&text)
}
