//! JSON Schemas of the project's files, generated from the types that read them: what editors complete and underline.
//!
//! A schema says names, kinds and levels; bounds across fields, expressions and names that must exist elsewhere are what
//! `nextbest check` looks at.

use schemars::Schema;
use schemars::generate::SchemaSettings;

use super::{Features, Settings};
use crate::policy::file::PolicyFile;
use crate::pricing::rules::Draft;

/// The schema (JSON Schema 2020-12) of one of [`super::FILES`]; none for another name.
#[must_use]
pub fn json_schema(file: &str) -> Option<Schema> {
    // As the files are read, not as they are written: what has a default may be left out.
    let generator = SchemaSettings::draft2020_12().into_generator();
    Some(match file {
        "nextbest.toml" => generator.into_root_schema_for::<Settings>(),
        "features.toml" => generator.into_root_schema_for::<Features>(),
        "policy.toml" => generator.into_root_schema_for::<PolicyFile>(),
        "pricing.toml" => generator.into_root_schema_for::<Draft>(),
        _ => return None,
    })
}
