//! The `at-risk` function on AWS Lambda: lists customers at risk.
//!
//! Everything is opened while the process starts; requests arrive as API Gateway HTTP API events (payload 2.0) and
//! run through the same router as `nextbest serve`. Configuration: `nextbest_functions::config`.

use nextbest_functions::{at_risk, lambda};

fn main() -> Result<(), lambda::Error> {
    lambda::run(at_risk::routes)
}
