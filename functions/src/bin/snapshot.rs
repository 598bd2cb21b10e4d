//! The `snapshot` function on AWS Lambda: builds the at-risk snapshot, started nightly by an EventBridge schedule.
//!
//! Whatever the schedule sends is ignored. A run that fails is reported to the schedule, which may retry it; the
//! last snapshot stays in use meanwhile.

use nextbest_functions::lambda;

fn main() -> Result<(), lambda::Error> {
    lambda::run_snapshot()
}
