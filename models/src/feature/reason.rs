//! Reasons: the stable list of `[[reason]]` tables in features.toml, under whose codes and texts explanations are told.
//!
//! A reason names the features that read as one thing (a count over several windows, say), and what people read of
//! it. A feature that no reason names is a reason of its own, with its name as the code and without a text. The list
//! is not part of the feature schema: another word for a thing asks for no training.

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use crate::propensity::Explanation;

/// Longest text: every logged decision carries the texts of its reasons.
pub const MAX_TEXT_CHARS: usize = 200;

/// One `[[reason]]` of features.toml.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReasonSpec {
    /// snake_case, unique: what programs keep.
    #[schemars(with = "String")]
    code: Spanned<String>,
    /// What people read where the direction's own text is not given.
    #[schemars(with = "String")]
    text: Spanned<String>,
    /// What people read where it makes the outcome more likely.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    raises: Option<Spanned<String>>,
    /// What people read where it makes the outcome less likely.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    lowers: Option<Spanned<String>>,
    /// The features it speaks of.
    #[schemars(with = "Vec<String>")]
    features: Spanned<Vec<Spanned<String>>>,
}

/// What is wrong with the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReasonFault {
    /// Byte of features.toml at which it stands.
    pub at: usize,
    /// What is wrong and what is allowed.
    pub message: String,
}

/// Which way a reason moves the probability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// It makes the outcome more likely.
    Raises,
    /// It makes the outcome less likely.
    Lowers,
}

impl Direction {
    /// `raises` or `lowers`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raises => "raises",
            Self::Lowers => "lowers",
        }
    }
}

/// What people read of a reason.
#[derive(Clone, Debug)]
struct Texts {
    text: String,
    raises: Option<String>,
    lowers: Option<String>,
}

/// One reason of a checked list.
#[derive(Clone, Debug)]
pub struct Reason {
    code: String,
    texts: Option<Texts>,
    features: Vec<usize>,
}

impl Reason {
    /// What programs keep: unique in the list.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// What people read where it moves the probability this way; none for a feature that no `[[reason]]` names.
    #[must_use]
    pub fn text(&self, direction: Direction) -> Option<&str> {
        let texts = self.texts.as_ref()?;
        let own = match direction {
            Direction::Raises => texts.raises.as_ref(),
            Direction::Lowers => texts.lowers.as_ref(),
        };
        Some(own.unwrap_or(&texts.text))
    }

    /// Its features, by their place in the schema, as the list names them.
    #[must_use]
    pub fn features(&self) -> &[usize] {
        &self.features
    }
}

/// What one reason adds to the log-odds of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedContribution<'l> {
    /// The code of the reason.
    pub code: &'l str,
    /// What people read; none for a feature that no `[[reason]]` names.
    pub text: Option<&'l str>,
    /// Those of its features that the model uses, in the order of the schema.
    pub features: Vec<&'l str>,
    /// Which way it moves the probability; `Lowers` where it adds nothing.
    pub direction: Direction,
    /// Added to the log-odds: the sum of what `features` add.
    pub log_odds: f64,
    /// Whether all of `features` were missing in this row.
    pub missing: bool,
}

/// The reasons of a project: those of features.toml in their order, then every feature that none of them names, in the
/// order of the schema. Each feature belongs to exactly one.
#[derive(Clone, Debug)]
pub struct ReasonList {
    reasons: Vec<Reason>,
    /// The place in `reasons` of each feature's.
    reason_of_feature: Vec<Option<usize>>,
    feature_names: Vec<String>,
}

impl ReasonList {
    /// Checks `specs` against the names of the features; every fault is returned, with its place.
    pub fn new(specs: Vec<ReasonSpec>, feature_names: &[String]) -> Result<Self, Vec<ReasonFault>> {
        let mut list = Self {
            reasons: Vec::with_capacity(specs.len()),
            reason_of_feature: vec![None; feature_names.len()],
            feature_names: feature_names.to_vec(),
        };
        let mut faults = Vec::new();
        for spec in specs {
            list.add(spec, &mut faults);
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        for (feature, code) in feature_names.iter().enumerate() {
            if list.reason_of_feature[feature].is_none() {
                list.reason_of_feature[feature] = Some(list.reasons.len());
                list.reasons.push(Reason { code: code.clone(), texts: None, features: vec![feature] });
            }
        }
        Ok(list)
    }

    fn add(&mut self, spec: ReasonSpec, faults: &mut Vec<ReasonFault>) {
        let mut fault = |at: usize, message: String| faults.push(ReasonFault { at, message });
        let ReasonSpec { code, text, raises, lowers, features } = spec;
        let at = code.span().start;
        if let Err(message) = self.check_code(code.get_ref(), features.get_ref()) {
            fault(at, message);
        }
        let code = code.into_inner();
        let texts = [("text", Some(&text)), ("raises", raises.as_ref()), ("lowers", lowers.as_ref())];
        for (name, text) in texts {
            let Some(text) = text else { continue };
            let n_chars = text.get_ref().trim().chars().count();
            if !(1..=MAX_TEXT_CHARS).contains(&n_chars) {
                let bound = format!("{name} has {n_chars} characters, outside 1 ..= {MAX_TEXT_CHARS}");
                fault(text.span().start, format!("reason {code:?}: {bound}"));
            }
        }
        if features.get_ref().is_empty() {
            fault(features.span().start, format!("reason {code:?}: features names none"));
        }
        let place = self.reasons.len();
        let mut members = Vec::with_capacity(features.get_ref().len());
        for name in features.into_inner() {
            match self.claim(name.get_ref(), place, &code) {
                Ok(feature) => members.push(feature),
                Err(message) => fault(name.span().start, format!("reason {code:?}: {message}")),
            }
        }
        let texts = Texts {
            text: text.into_inner(),
            raises: raises.map(Spanned::into_inner),
            lowers: lowers.map(Spanned::into_inner),
        };
        self.reasons.push(Reason { code, texts: Some(texts), features: members });
    }

    fn check_code(&self, code: &str, features: &[Spanned<String>]) -> Result<(), String> {
        let snake = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if code.is_empty() || !code.chars().all(snake) {
            return Err(format!("reason {code:?}: a code takes lower-case letters, digits and _"));
        }
        if self.find(code).is_some() {
            return Err(format!("two reasons have the code {code:?}"));
        }
        // A feature alone has its name as the code: the same code must never come to mean something else.
        let is_feature = self.feature_names.iter().any(|name| name == code);
        if is_feature && !features.iter().any(|name| name.get_ref() == code) {
            return Err(format!("reason {code:?}: a feature has this name, and the reason does not hold it"));
        }
        Ok(())
    }

    /// The feature of this name, from now on one of the reason at `place`, which is named `code`.
    fn claim(&mut self, name: &str, place: usize, code: &str) -> Result<usize, String> {
        let feature = self.feature_names.iter().position(|known| known == name);
        let feature = feature.ok_or_else(|| format!("{name:?} is no feature of this file"))?;
        if let Some(other) = self.reason_of_feature[feature] {
            // Its own reason is not yet in the list.
            let other = self.reasons.get(other).map_or(code, |other| &other.code);
            return Err(format!("feature {name:?} is in reason {other:?} already"));
        }
        self.reason_of_feature[feature] = Some(place);
        Ok(feature)
    }

    /// All reasons, in order.
    #[must_use]
    pub fn reasons(&self) -> &[Reason] {
        &self.reasons
    }

    /// The reason of this code.
    #[must_use]
    pub fn find(&self, code: &str) -> Option<&Reason> {
        self.reasons.iter().find(|reason| reason.code == code)
    }

    /// The names of the features of `reason`.
    pub fn feature_names<'l>(&'l self, reason: &'l Reason) -> impl Iterator<Item = &'l str> {
        reason.features.iter().filter_map(|&feature| self.name(feature))
    }

    fn name(&self, feature: usize) -> Option<&str> {
        self.feature_names.get(feature).map(String::as_str)
    }

    /// What each reason adds in `explanation`, of a model over the features this list was made for: the largest
    /// magnitude first, ties in the order of the list. Together with the baseline they sum to the margin.
    #[must_use]
    pub fn name_contributions(&self, explanation: &Explanation) -> Vec<NamedContribution<'_>> {
        let mut grouped = explanation.grouped(&self.reason_of_feature);
        grouped.sort_by(|a, b| {
            b.log_odds.abs().total_cmp(&a.log_odds.abs()).then_with(|| a.group.cmp(&b.group))
        });
        let named = grouped.iter().filter_map(|part| {
            let reason = self.reasons.get(part.group?)?;
            let direction = if part.log_odds > 0.0 { Direction::Raises } else { Direction::Lowers };
            Some(NamedContribution {
                code: &reason.code,
                text: reason.text(direction),
                features: part.features.iter().filter_map(|&feature| self.name(feature)).collect(),
                direction,
                log_odds: part.log_odds,
                missing: part.missing,
            })
        });
        named.collect()
    }
}

#[cfg(test)]
mod tests;
