//! Reasons: the stable list of `[[reason]]` tables in features.toml, under whose codes and texts explanations are told.
//!
//! A reason names the features that read as one thing (a count over several windows, say), and what people read of
//! it. A feature that no reason names is a reason of its own, with its name as the code and without a text. The list
//! is not part of the feature schema: another word for a thing asks for no training.

use serde::Deserialize;
use toml::Spanned;

use crate::propensity::Explanation;

/// One `[[reason]]` of features.toml.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReasonSpec {
    /// snake_case, unique: what programs keep.
    code: Spanned<String>,
    /// What people read where the direction's own text is not given.
    text: Spanned<String>,
    /// What people read where it makes the outcome more likely.
    #[serde(default)]
    raises: Option<Spanned<String>>,
    /// What people read where it makes the outcome less likely.
    #[serde(default)]
    lowers: Option<Spanned<String>>,
    /// The features it speaks of.
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
            if let Some(text) = text.filter(|text| text.get_ref().trim().is_empty()) {
                let given = text.get_ref();
                fault(text.span().start, format!("reason {code:?}: {name} is {given:?}: it takes words"));
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
mod tests {
    use super::*;
    use crate::propensity::{Contribution, ReasonSource};

    const FEATURES: [&str; 6] = ["orders_30d", "tenure", "orders_90d", "views", "carts", "support"];

    #[derive(Deserialize)]
    struct File {
        #[serde(default)]
        reason: Vec<ReasonSpec>,
    }

    fn list(text: &str) -> Result<ReasonList, Vec<ReasonFault>> {
        let file: File = toml::from_str(text).unwrap();
        ReasonList::new(file.reason, &FEATURES.map(str::to_owned))
    }

    fn good() -> ReasonList {
        let text = r#"
            [[reason]]
            code = "browsing"
            text = "Browsing"
            features = ["views", "carts"]
            [[reason]]
            code = "ordering"
            text = "Orders"
            raises = "Orders speak for it"
            lowers = "Orders speak against it"
            features = ["orders_90d", "orders_30d"]
        "#;
        list(text).unwrap()
    }

    /// The explanation of a model that adds (feature, log-odds, missing) to a baseline of 1/2.
    fn explanation(parts: &[(usize, f64, bool)]) -> Explanation {
        let part = |&(feature, log_odds, missing)| Contribution { feature, log_odds, missing };
        let margin = 0.5 + parts.iter().map(|part| part.1).sum::<f64>();
        let contributions = parts.iter().map(part).collect();
        Explanation { source: ReasonSource::Model, baseline: 0.5, margin, contributions }
    }

    #[test]
    fn a_reason_sums_its_features_and_the_rest_stand_alone() {
        let list = good();
        let codes: Vec<&str> = list.reasons().iter().map(Reason::code).collect();
        assert_eq!(codes, ["browsing", "ordering", "tenure", "support"]);
        let explanation =
            explanation(&[(0, -1.0, false), (1, 0.5, true), (2, -0.25, true), (3, 0.125, false)]);
        let named = list.name_contributions(&explanation);
        let expected = [
            NamedContribution {
                code: "ordering",
                text: Some("Orders speak against it"),
                features: vec!["orders_30d", "orders_90d"],
                direction: Direction::Lowers,
                log_odds: -1.25,
                missing: false,
            },
            NamedContribution {
                code: "tenure",
                text: None,
                features: vec!["tenure"],
                direction: Direction::Raises,
                log_odds: 0.5,
                missing: true,
            },
            // The model does not use `carts`, and browsing has no text for a direction.
            NamedContribution {
                code: "browsing",
                text: Some("Browsing"),
                features: vec!["views"],
                direction: Direction::Raises,
                log_odds: 0.125,
                missing: false,
            },
        ];
        assert_eq!(named, expected);
        let sum = explanation.baseline + named.iter().map(|part| part.log_odds).sum::<f64>();
        assert!((sum - explanation.margin).abs() < f64::EPSILON, "all numbers are short binary fractions");
    }

    #[test]
    fn ties_keep_the_order_of_the_list_and_not_of_the_features() {
        let list = good();
        let explanation = explanation(&[
            (0, 0.5, false),
            (1, 0.25, false),
            (2, -0.25, false),
            (3, -0.125, false),
            (4, -0.125, false),
            (5, -0.25, false),
        ]);
        let named = list.name_contributions(&explanation);
        let found: Vec<(&str, f64)> = named.iter().map(|part| (part.code, part.log_odds)).collect();
        assert_eq!(found, [("browsing", -0.25), ("ordering", 0.25), ("tenure", 0.25), ("support", -0.25)]);
    }

    #[test]
    fn a_reason_is_missing_where_every_feature_of_it_is() {
        let list = good();
        let missing = |first: bool, second: bool| {
            let explanation = explanation(&[(0, 1.0, first), (2, 1.0, second)]);
            list.name_contributions(&explanation)[0].missing
        };
        assert_eq!([missing(true, true), missing(true, false), missing(false, true)], [true, false, false]);
    }

    #[test]
    fn without_a_list_a_feature_is_its_own_code() {
        let list = list("").unwrap();
        let explanation = explanation(&[(0, 0.25, false), (2, -1.0, true)]);
        let named = list.name_contributions(&explanation);
        let strongest = explanation.strongest(2);
        assert_eq!(named.len(), strongest.len());
        for (named, single) in named.iter().zip(strongest) {
            let name = FEATURES[single.feature];
            assert_eq!((named.code, named.text, named.features.as_slice()), (name, None, &[name][..]));
            assert_eq!((named.log_odds, named.missing), (single.log_odds, single.missing));
        }
    }

    #[test]
    fn faults_come_all_at_once_at_their_places() {
        let text = r#"
            [[reason]]
            code = "Ordering"
            text = " "
            features = ["orders_30d", "orders_31d"]
            [[reason]]
            code = "tenure"
            text = "Orders"
            raises = ""
            features = ["orders_90d", "orders_30d", "orders_90d"]
            [[reason]]
            code = "tenure"
            text = "Nothing"
            features = []
        "#;
        let faults = list(text).unwrap_err();
        let found: Vec<(usize, &str)> = faults
            .iter()
            .map(|fault| (text[..fault.at].matches('\n').count(), fault.message.as_str()))
            .collect();
        let expected = [
            (2, "reason \"Ordering\": a code takes lower-case letters, digits and _"),
            (3, "reason \"Ordering\": text is \" \": it takes words"),
            (4, "reason \"Ordering\": \"orders_31d\" is no feature of this file"),
            (6, "reason \"tenure\": a feature has this name, and the reason does not hold it"),
            (8, "reason \"tenure\": raises is \"\": it takes words"),
            (9, "reason \"tenure\": feature \"orders_30d\" is in reason \"Ordering\" already"),
            (9, "reason \"tenure\": feature \"orders_90d\" is in reason \"tenure\" already"),
            (11, "two reasons have the code \"tenure\""),
            (13, "reason \"tenure\": features names none"),
        ];
        assert_eq!(found, expected);
    }
}
