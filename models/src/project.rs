//! The project folder: what the business decides, as checked data.
//!
//! Four files, read through a closure (no file is opened here) and each hashed: `nextbest.toml` (name, currency,
//! sources, labels), `features.toml`, `policy.toml`, `pricing.toml`. All faults of all files come back at once, each
//! with file and line.

mod json_schema;
mod settings;
pub mod source;

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::digest::sha256_hex;
use crate::feature::Schema;
use crate::feature::reason::{ReasonFault, ReasonList, ReasonSpec};
use crate::feature::spec::FeatureSpec;
use crate::policy::response::OFFER_COLUMNS;
use crate::policy::{Policy, PolicyFault};
use crate::pricing::rules::{PricingFault, PricingRules};
pub use json_schema::json_schema;
pub use settings::{
    DemoRules, LabelKind, LabelRule, LifetimeRule, ResponseRule, Settings, Simulated, TrainingRules,
    UpliftRule,
};

/// The files of a project folder, in reading order.
pub const FILES: [&str; 4] = ["nextbest.toml", "features.toml", "policy.toml", "pricing.toml"];

/// features.toml.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Features {
    #[serde(default)]
    feature: Vec<FeatureSpec>,
    #[serde(default)]
    reason: Vec<ReasonSpec>,
}

/// A checked project folder.
#[derive(Clone, Debug)]
pub struct Project {
    /// nextbest.toml.
    pub settings: Settings,
    /// The features of features.toml, compiled.
    pub schema: Schema,
    /// The reasons of features.toml: codes and texts under which explanations are told.
    pub reasons: ReasonList,
    /// policy.toml.
    pub policy: Policy,
    /// pricing.toml.
    pub pricing: PricingRules,
    /// SHA-256 in hex of each file.
    pub sha256: BTreeMap<&'static str, String>,
}

/// A fault in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectFault {
    /// Which file.
    pub file: &'static str,
    /// Line, from 1, where it is known.
    pub line: Option<usize>,
    /// Column in that line, from 1, where it is known.
    pub column: Option<usize>,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl fmt::Display for ProjectFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        for place in self.line.iter().chain(&self.column) {
            write!(f, "{place}:")?;
        }
        write!(f, " {}", self.message)
    }
}

/// All faults of a project folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectFaults(pub Vec<ProjectFault>);

impl fmt::Display for ProjectFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ProjectFaults {}

/// One file's text, and the faults found in it so far.
struct Page {
    file: &'static str,
    text: String,
}

impl Page {
    fn fault(&self, near: &str, message: impl fmt::Display) -> ProjectFault {
        let line =
            self.text.lines().position(|line| !near.is_empty() && line.contains(near)).map(|at| at + 1);
        ProjectFault { file: self.file, line, column: None, message: message.to_string() }
    }

    fn parse<T: serde::de::DeserializeOwned>(&self, faults: &mut Vec<ProjectFault>) -> Option<T> {
        let error = match toml::from_str(&self.text) {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        let message = error.message().to_owned();
        faults.push(match error.span() {
            Some(span) => self.fault_at(span.start, message),
            None => ProjectFault { file: self.file, line: None, column: None, message },
        });
        None
    }

    /// A fault at byte `at`.
    fn fault_at(&self, at: usize, message: String) -> ProjectFault {
        let before = self.text.get(..at);
        let line = before.map(|before| before.matches('\n').count() + 1);
        let column = before.map(|before| before.rsplit('\n').next().unwrap_or("").chars().count() + 1);
        ProjectFault { file: self.file, line, column, message }
    }

    /// A fault of the policy: behind the id it is within, at the text it is about.
    fn fault_within(&self, fault: PolicyFault) -> ProjectFault {
        let PolicyFault { within, near, column, message } = fault;
        let quoted = [format!("\"{within}\""), within.clone()];
        let start = quoted.iter().find_map(|text| self.text.find(text.as_str())).unwrap_or(0);
        let behind = &self.text[start..];
        let Some(at) = find_whole(behind, &near) else {
            return self.fault_at(start, message);
        };
        let found = self.fault_at(start + at, message);
        let column = found.column.map(|begins| begins + column.unwrap_or(1) - 1);
        ProjectFault { column, ..found }
    }
}

/// Where `near`, if it is not empty, first stands in `text` as a whole: not as a part of a longer name.
fn find_whole(text: &str, near: &str) -> Option<usize> {
    let is_name = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let (first, last) = (is_name(near.chars().next()), is_name(near.chars().next_back()));
    let whole = |at: &usize| {
        let joins_before = first && is_name(text[..*at].chars().next_back());
        let joins_behind = last && is_name(text[at + near.len()..].chars().next());
        !joins_before && !joins_behind
    };
    text.match_indices(near).map(|(at, _)| at).filter(|_| !near.is_empty()).find(whole)
}

impl Project {
    /// Reads and checks the four files; `read` gives the text of a file by its name.
    pub fn read(mut read: impl FnMut(&str) -> io::Result<String>) -> Result<Self, ProjectFaults> {
        let mut faults = Vec::new();
        let mut sha256 = BTreeMap::new();
        let mut page = |file: &'static str, faults: &mut Vec<ProjectFault>| {
            let text = read(file).unwrap_or_else(|error| {
                faults.push(ProjectFault { file, line: None, column: None, message: error.to_string() });
                String::new()
            });
            sha256.insert(file, sha256_hex(text.as_bytes()));
            Page { file, text }
        };
        let pages = FILES.map(|file| page(file, &mut faults));
        if !faults.is_empty() {
            return Err(ProjectFaults(faults));
        }
        let [main, features, policy, pricing] = &pages;
        let settings: Option<Settings> = main.parse(&mut faults);
        let (specs, reason_specs) =
            features.parse::<Features>(&mut faults).map(|file| (file.feature, file.reason)).unzip();
        let policy_file = policy.parse(&mut faults);
        if let Some(settings) = &settings {
            settings.check(main, &mut faults);
        }
        let names: Vec<String> = specs.iter().flatten().map(|spec: &FeatureSpec| spec.name.clone()).collect();
        if let Some(rule) = settings.as_ref().and_then(|settings| settings.purchases.as_ref()) {
            for name in rule.price_by.iter().filter(|name| !names.contains(name)) {
                faults.push(
                    main.fault("price_by", format!("price_by: {name:?} is no feature of features.toml")),
                );
            }
        }
        let schema = settings.as_ref().zip(specs).and_then(|(settings, specs)| {
            let (currency, lateness_days) = (settings.currency, settings.lateness_days);
            let schema = Schema::new(specs, &settings.activity, currency, lateness_days);
            let report = |errors: Vec<crate::feature::spec::SpecError>| {
                faults.extend(
                    errors.iter().map(|error| features.fault(&format!("\"{}\"", error.feature), error)),
                );
            };
            schema.map_err(report).ok()
        });
        let reasons = reason_specs.and_then(|specs| {
            let report = |errors: Vec<ReasonFault>| {
                faults.extend(errors.into_iter().map(|error| features.fault_at(error.at, error.message)));
            };
            let of_offers = settings.as_ref().is_some_and(|settings| !settings.responses.is_empty());
            let offer: &[&str] = if of_offers { &OFFER_COLUMNS } else { &[] };
            let explained: Vec<String> =
                names.iter().cloned().chain(offer.iter().map(|name| (*name).to_owned())).collect();
            ReasonList::new(specs, &explained).map_err(report).ok()
        });
        let policy = settings.as_ref().zip(policy_file).and_then(|(settings, file)| {
            let labels: Vec<String> = settings.labels.keys().cloned().collect();
            let responses: Vec<String> = settings.responses.keys().cloned().collect();
            let report = |errors: Vec<PolicyFault>| {
                faults.extend(errors.into_iter().map(|fault| policy.fault_within(fault)));
            };
            let checked = Policy::new(file, &labels, &responses, &names).map_err(report).ok()?;
            Some(checked.with_margin(settings.lifetime_value.map(|rule| rule.margin)))
        });
        let pricing = match PricingRules::parse(&pricing.text) {
            Ok(rules) => {
                let learns = settings.as_ref().is_none_or(|settings| settings.purchases.is_some());
                for (name, _) in rules.markets.iter().filter(|(_, rules)| rules.personal_features && !learns)
                {
                    let message =
                        "personal_features = true needs a purchase model: nextbest.toml has no [purchases]";
                    faults.push(
                        pricing.fault(&format!("[market.{name}]"), format!("market {name:?}: {message}")),
                    );
                }
                Some(rules)
            }
            Err(errors) => {
                let file = pricing.file;
                let fault = |PricingFault { line, message }: PricingFault| ProjectFault {
                    file,
                    line,
                    column: None,
                    message,
                };
                faults.extend(errors.into_iter().map(fault));
                None
            }
        };
        match (settings, schema, reasons, policy, pricing) {
            (Some(settings), Some(schema), Some(reasons), Some(policy), Some(pricing))
                if faults.is_empty() =>
            {
                Ok(Self { settings, schema, reasons, policy, pricing, sha256 })
            }
            _ => Err(ProjectFaults(faults)),
        }
    }

    /// SHA-256 in hex over the hashes of all files: the identity of what the business decided.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        sha256_hex(self.sha256.values().map(String::as_str).collect::<Vec<_>>().join("\n").as_bytes())
    }
}
