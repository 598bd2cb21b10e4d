//! Offline jobs: event logs and tables in, sealed artifacts and reports out.

pub mod cutoff;
pub mod periods;
pub mod response;
pub mod showing;
pub mod purchase;
pub mod dataset;
pub mod encoding;
pub mod learner;
pub mod calibration;
pub mod interval;
pub mod metrics;
pub mod student;
pub mod selection;
pub mod diagnostics;
pub mod demand;
pub mod train;
pub mod table;
pub mod elasticity;
pub mod lifetime;
pub mod uplift;
pub mod foreign;
pub mod decisions;
pub mod prices;
pub mod lifecycle;
pub mod backtest;
pub mod report;
pub mod seal;
pub mod event_log;
pub mod import;
pub mod simulate;
pub mod price_loop;

mod cholesky;

use nextbest_models::nearest;
