//! The `hopper` function on AWS Lambda: fills the hopper, started nightly by an EventBridge schedule.
//!
//! Whatever the schedule sends is ignored. A run that fails is reported to the schedule, which may retry it: what the
//! failed one still holds counts, so that nobody is listed twice.

use nextbest_functions::lambda;

fn main() -> Result<(), lambda::Error> {
    lambda::run_hopper()
}
