//! The model card as a table of two columns.

use super::{escape, list, whole};
use crate::diagnostics::ModelCard;
use crate::selection::ValidationSummary;

/// The card.
pub(super) fn card(card: &ModelCard) -> String {
    let lines = facts(card).into_iter().filter(|(_, value)| !value.is_empty());
    let rows: Vec<String> =
        lines.map(|(name, value)| format!("<tr><th>{name}</th><td>{value}</td></tr>")).collect();
    let texts = |lines: &[&str]| list(&lines.iter().map(|&line| line.to_owned()).collect::<Vec<_>>());
    format!(
        "<div class=card><table class=facts><tbody>{}</tbody></table><h3>Intended use</h3>{}<h3>Limits</h3>{}</div>",
        rows.concat(),
        texts(&card.intended_use),
        texts(&card.limits)
    )
}

/// What identifies the model, escaped.
fn facts(card: &ModelCard) -> Vec<(&'static str, String)> {
    let code = |text: &str| format!("<code>{}</code>", escape(text));
    let sources = card.sources.iter().map(|(name, sha256)| format!("{} {}", escape(name), code(sha256)));
    let counts = card.counts.iter().map(|(name, n)| format!("{} {}", escape(name), whole(*n)));
    let metrics = card.metrics.iter().map(|(name, value)| format!("{} {value:.4}", escape(name)));
    let validation = match card.validation {
        ValidationSummary::InTime => "parts apart in time".to_owned(),
        ValidationSummary::Folds { n_folds, n_scored } => {
            format!("out of fold, {n_scored} of {n_folds} folds scored")
        }
    };
    let model = match card.name == card.project {
        true => escape(&card.name),
        false => format!("{} of {}", escape(&card.name), escape(&card.project)),
    };
    let cutoffs = card.split.as_ref().map_or(String::new(), |split| {
        let fit: Vec<String> = split.fit.iter().map(|cutoff| cutoff.day().to_string()).collect();
        let (calibrate, test) = (split.calibrate.day(), split.test.day());
        format!("fitted {}; calibrated {calibrate}; tested {test}", fit.join(", "))
    });
    vec![
        ("model", model),
        ("outcome", escape(&card.outcome)),
        ("candidates", escape(&card.candidates.join(", "))),
        ("sealed", format!("{}, {} calibration", escape(&card.learner), escape(card.calibration))),
        ("features", whole(card.n_features as u64)),
        ("rows", counts.collect::<Vec<_>>().join(" \u{b7} ")),
        ("judged by", validation),
        ("cut-offs", cutoffs),
        ("metrics", metrics.collect::<Vec<_>>().join(" \u{b7} ")),
        ("trained through", card.trained_through.map_or(String::new(), |through| through.to_string())),
        ("made from (SHA-256)", sources.collect::<Vec<_>>().join("<br>")),
        ("schema", code(&card.schema_fingerprint)),
        ("artifact (SHA-256)", code(&card.artifact_sha256)),
        ("code and seed", format!("version {}, seed {}", escape(&card.code_version), card.seed.0)),
    ]
}
