//! The `score` function on AWS Lambda: scores the propensities of one customer.
//!
//! Everything is opened while the process starts; requests arrive as API Gateway HTTP API events (payload 2.0) and
//! run through the same router as `nextbest serve`. Configuration: `nextbest_functions::config`.

use nextbest_functions::{lambda, scores};

fn main() -> Result<(), lambda::Error> {
    lambda::run(scores::routes)
}
