//! Online: one thin Lambda binary per function, their handlers, and the DynamoDB store.
//!
//! A request passes the [`door`], is parsed, loads from the [`store`], lets `nextbest_models` decide, saves and
//! answers. No learner is ever linked here; time, randomness and the environment are read in one room each
//! ([`clock`], [`config`]).

/// A request makes some hundred short-lived allocations, most of them in what speaks to the store; every program that serves
/// links this room.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub mod secrets;
pub mod config;
pub mod clock;
pub mod keys;
pub mod signing;
pub mod route;
pub mod auth;
pub mod problem;
pub mod request;
pub mod store;
pub mod memory;
pub mod metrics;
pub mod app;
pub mod idempotency;
pub mod door;
pub mod health;
pub mod provenance;
pub mod events;
pub mod decisions;
pub mod prices;
mod csv;
mod paging;
pub mod at_risk;
pub mod scores;
pub mod openapi;
pub mod console;
pub mod local;
pub mod learn;
pub mod snapshot;
pub mod hopper;
pub mod lambda;
