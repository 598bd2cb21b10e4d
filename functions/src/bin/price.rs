//! The `price` function on AWS Lambda: quotes prices.
//!
//! Everything is opened while the process starts; requests arrive as API Gateway HTTP API events (payload 2.0) and
//! run through the same router as `nextbest serve`. Configuration: `nextbest_functions::config`.

use nextbest_functions::{lambda, prices};

fn main() -> Result<(), lambda::Error> {
    lambda::run(prices::routes)
}
