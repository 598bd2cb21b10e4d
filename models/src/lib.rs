//! What turns a customer into a choice: pure code, shared by training and serving.
//!
//! No I/O, clock, randomness, async, AWS or learner lives here; time and seed are arguments. The modules stand in
//! the order in which data passes through them.
#![deny(missing_docs)]

pub mod digest;
pub mod nearest;
pub mod units;
mod lottery;
pub mod event;
pub mod customer;
pub mod feature;
pub mod lifecycle;
pub mod propensity;
pub mod pricing;
pub mod value;
pub mod uplift;
pub mod action;
pub mod policy;
pub mod decision;
pub mod posterior;
pub mod project;
pub mod table;
pub mod artifact;
