//! All functions behind one door, for `nextbest serve` and the tests.

use axum::Router;

use crate::app::App;
use crate::route::Function;
use crate::{at_risk, console, decisions, events, metrics, prices, scores};

/// The endpoints of one function.
pub fn routes(function: Function) -> Router<App> {
    match function {
        Function::Events => events::routes(),
        Function::NextBestAction => decisions::routes(),
        Function::Price => prices::routes(),
        Function::AtRisk => at_risk::routes(),
        Function::Score => scores::routes(),
        Function::Console => console::routes(),
    }
}

/// All endpoints of all functions, and the counts that CloudWatch keeps elsewhere.
pub fn router(app: App) -> Router {
    let all = Function::ALL.iter().fold(metrics::routes(), |all, &function| all.merge(routes(function)));
    app.serve(all)
}
