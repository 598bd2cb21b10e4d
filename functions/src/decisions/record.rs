//! The record of a decision: everything it was made from and what it was, enough to make it again.

use nextbest_models::artifact::Artifact;
use nextbest_models::decision::Decision;
use nextbest_models::policy::{Question, Situation, decide};
use nextbest_models::project::Project;
use nextbest_models::units::Timestamp;
use serde::{Deserialize, Serialize};

use super::Mode;
use crate::store::Reservation;

/// A decision as the log keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its id.
    pub decision_id: String,
    /// The request that asked.
    pub request_id: String,
    /// Whose: a customer's or a visitor's id.
    pub customer_id: String,
    /// Whether that is a visitor's.
    pub visitor: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// What is done with it.
    pub mode: Mode,
    /// The project folder it was made by.
    pub policy_sha256: String,
    /// The feature definitions.
    pub schema_sha256: String,
    /// The artifact, if there was one.
    pub artifact_sha256: Option<String>,
    /// What was asked.
    pub question: Question,
    /// What was known.
    pub situation: Situation,
    /// What was decided.
    pub decision: Decision,
    /// What was missing, besides what the decision says.
    pub degraded: Vec<String>,
    /// The contacts that it holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reservations: Vec<Reservation>,
    /// Whether contacts are held only once the caller says that it goes ahead.
    #[serde(default)]
    pub deferred: bool,
    /// The deferred decision for which this one asked caps and budgets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds_for: Option<String>,
    /// The overnight list that it stands on, if it was made for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_id: Option<String>,
}

/// Why a record cannot be decided again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReplayable {
    /// The project folder changed.
    #[error(
        "it was made by the policy {logged}; the project folder is now {current}: check out the folder of that hash"
    )]
    OtherPolicy {
        /// Hash in the log.
        logged: String,
        /// Hash of the folder.
        current: String,
    },
    /// The artifact is not there.
    #[error("it was scored by the artifact {logged}, which is not there: put that file into artifacts/")]
    ArtifactGone {
        /// Hash in the log.
        logged: String,
    },
}

/// A difference between what was logged and what comes out now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// JSON path.
    pub path: String,
    /// In the log.
    pub logged: serde_json::Value,
    /// Now.
    pub replayed: serde_json::Value,
}

impl Record {
    /// Scores and decides again; every difference, bit by bit, or none.
    pub fn replay(
        &self,
        project: &Project,
        artifact: Option<&Artifact>,
    ) -> Result<Vec<Difference>, NotReplayable> {
        let current = project.fingerprint();
        if current != self.policy_sha256 {
            return Err(NotReplayable::OtherPolicy { logged: self.policy_sha256.clone(), current });
        }
        if let Some(logged) = &self.artifact_sha256
            && artifact.is_none_or(|artifact| artifact.sha256() != logged)
        {
            return Err(NotReplayable::ArtifactGone { logged: logged.clone() });
        }
        let unscored = vec![None; project.policy.models().len()];
        let blank = Situation {
            scores: unscored.clone(),
            base_rates: unscored,
            offers: Vec::new(),
            n_learned: Vec::new(),
            response_rates: Vec::new(),
            lifetime_value_minor: None,
            ..self.situation.clone()
        };
        let situation = match artifact.filter(|_| self.artifact_sha256.is_some()) {
            Some(artifact) => blank.scored(project, artifact),
            None => blank,
        };
        let decision = decide(&project.policy, &situation, &self.question);
        let mut differences = Vec::new();
        compare("situation", &json(&self.situation), &json(&situation), &mut differences);
        compare("decision", &json(&self.decision), &json(&decision), &mut differences);
        Ok(differences)
    }
}

fn json(value: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(value).unwrap_or_default()
}

fn compare(
    path: &str,
    logged: &serde_json::Value,
    replayed: &serde_json::Value,
    differences: &mut Vec<Difference>,
) {
    use serde_json::Value::{Array, Null, Object};
    match (logged, replayed) {
        (Object(a), Object(b)) => {
            let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for name in names {
                let of =
                    |map: &serde_json::Map<String, serde_json::Value>| map.get(name).cloned().unwrap_or(Null);
                compare(&format!("{path}.{name}"), &of(a), &of(b), differences);
            }
        }
        (Array(a), Array(b)) if a.len() == b.len() => {
            for (at, (a, b)) in a.iter().zip(b).enumerate() {
                compare(&format!("{path}[{at}]"), a, b, differences);
            }
        }
        (a, b) if a == b => {}
        (a, b) => {
            let (path, logged, replayed) = (path.to_owned(), a.clone(), b.clone());
            differences.push(Difference { path, logged, replayed });
        }
    }
}
