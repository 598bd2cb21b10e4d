//! What is refused before anything is learned: arms without rows, outcomes too rare, folds that leave an arm empty.

use super::UpliftOptions;
use super::effect::{self, Arm};
use super::error::{Refusal, RefusalCode, Refused, UpliftError};
use super::trial::Trial;
use crate::learner::MIN_PER_CLASS;

/// Fewest rows of one outcome in one arm outside a fold.
const MIN_OUTSIDE: usize = 20;

/// `column`, or `column=value`.
pub(super) fn outcome(options: &UpliftOptions) -> String {
    let column = &options.outcome.column;
    options.outcome.value.as_ref().map_or_else(|| column.clone(), |value| format!("{column}={value}"))
}

pub(super) fn refusal(code: RefusalCode, reason: String, treated: &Arm, control: &Arm) -> UpliftError {
    let both = treated.n > 0 && control.n > 0;
    let told = both && code != RefusalCode::NoOverlap;
    UpliftError::Refused(Box::new(Refusal {
        code,
        reason,
        treated: (treated.n > 0).then_some(*treated),
        control: (control.n > 0).then_some(*control),
        difference_of_means: told.then(|| effect::difference(treated, control)),
        artifact_sha256: None,
    }))
}

/// Refuses arms without rows, and outcomes too rare to learn from.
pub(super) fn refuse_too_few(
    options: &UpliftOptions,
    treated: &Arm,
    control: &Arm,
) -> Result<(), UpliftError> {
    let refuse = |code, reason| Err(refusal(code, reason, treated, control));
    let arms = [
        ("treated", &options.treated, treated, RefusalCode::NoTreated),
        ("control", &options.control, control, RefusalCode::NoControl),
    ];
    for (name, label, arm, code) in arms {
        if arm.n == 0 {
            let reason = format!(
                "no row with an outcome is {name} ({}={}); the other arm alone tells no difference",
                label.column, label.value
            );
            return refuse(code, reason);
        }
    }
    let outcome = outcome(options);
    let (n, n_positive) = (treated.n + control.n, treated.n_positive + control.n_positive);
    if n_positive == 0 || n_positive == n {
        let which = if n_positive == 0 { "has" } else { "lacks" };
        return refuse(
            RefusalCode::OneOutcome,
            format!("none of the {n} rows of both arms {which} {outcome}"),
        );
    }
    for (name, _, arm, _) in arms {
        for (found, which) in [(arm.n_positive, "have"), (arm.n_negative(), "do not have")] {
            if found < MIN_PER_CLASS as u64 {
                let reason = format!(
                    "{found} of the {} {name} rows {which} {outcome}; at least {MIN_PER_CLASS} are needed to learn for \
                     whom the difference is larger",
                    arm.n
                );
                return refuse(RefusalCode::TooFewOutcomes, reason);
            }
        }
    }
    Ok(())
}

/// Refuses folds without which an arm teaches nothing.
pub(super) fn refuse_lopsided(trial: &Trial) -> Result<(), Refused> {
    for fold in 0..trial.n_folds {
        let (_, outside) = trial.split(fold);
        for (treated, name) in [(true, "treated"), (false, "control")] {
            let arm = trial.arm(&outside, treated);
            let n_positive = arm.iter().filter(|&&row| trial.outcomes[row]).count();
            let found = n_positive.min(arm.len() - n_positive);
            if found < MIN_OUTSIDE {
                let reason = format!(
                    "outside fold {} only {found} {name} rows are of the rarer outcome; at least {MIN_OUTSIDE} are needed: \
                     change the folds",
                    fold + 1
                );
                return Err(Refused::Because(RefusalCode::TooFewOutcomes, reason));
            }
        }
    }
    Ok(())
}
