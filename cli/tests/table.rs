//! `nextbest fit` and `nextbest score` as they are typed: what is inferred, what is refused, and what stays unwritten.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[path = "table/made.rs"]
mod made;
#[path = "table/bad_input.rs"]
mod bad_input;
#[path = "table/scores.rs"]
mod scores;
#[path = "table/constraints.rs"]
mod constraints;
#[path = "table/pages.rs"]
mod pages;
#[path = "table/telco.rs"]
mod telco;
