//! Whole-system tests live in `tests/`; this library holds what they share: a small project with sealed models,
//! DynamoDB stand-ins, a proxy that injects faults, a server over them, a checkout page's desk, an emulated Lambda runtime interface,
//! and what benchmarks share: statistics over seeds, a project's file without some of its tables.

#[path = "../../cli/src/embedded.rs"]
pub mod embedded;
pub mod backend;
pub mod data;
pub mod desk;
pub mod fault;
pub mod fixture;
pub mod runtime;
pub mod seeds;
pub mod tables;
pub mod world;
