//! The `console` function on AWS Lambda: the retention team's pages.
//!
//! Everything is opened while the process starts; requests arrive as API Gateway HTTP API events (payload 2.0) and
//! run through the same router as `nextbest serve`. Configuration: `nextbest_functions::config`.

use nextbest_functions::{console, lambda};

fn main() -> Result<(), lambda::Error> {
    lambda::run_decisions(console::routes)
}
