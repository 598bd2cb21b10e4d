//! `nextbest fit-clv` and `score` by what it sealed, as they are typed: what they tell, what they refuse, and every
//! command of their page.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[path = "table/made.rs"]
#[expect(dead_code, reason = "shared with the tests of tables")]
mod made;
#[path = "fit_clv/answers.rs"]
mod answers;
#[path = "fit_clv/bad_input.rs"]
mod bad_input;

use made::Draw;

/// `id,date,spent`: customers who begin over the first quarter of 2024 and buy again at rates that differ, each leaving
/// after a purchase with a chance of its own; to the end of the year. In no order.
fn purchases(n: usize) -> String {
    let mut draw = Draw(5);
    let mut rows = Vec::new();
    for customer in 0..n {
        // Rates by a sum of two exponentials (Gamma of shape 2), chances to leave evenly from 0 to .5.
        let exponential = |draw: &mut Draw| -(1.0 - draw.unit()).ln();
        let rate = 0.01 * (exponential(&mut draw) + exponential(&mut draw)) + 1e-9;
        let (leaves, worth) = (0.5 * draw.unit(), 10.0 + 40.0 * draw.unit());
        let mut day = 90.0 * draw.unit();
        while day < 366.0 {
            let value = worth * (0.5 + draw.unit());
            let month = [31, 60, 91, 121, 152, 182, 213, 244, 274, 305, 335, 366];
            let at = month.iter().position(|end| day < f64::from(*end)).unwrap();
            let before = if at == 0 { 0 } else { month[at - 1] };
            rows.push(format!("c{customer},2024-{:02}-{:02},{value:.2}\n", at + 1, day as i32 - before + 1));
            day += exponential(&mut draw) / rate;
            if draw.unit() < leaves {
                break;
            }
        }
    }
    let middle = rows.len() / 2;
    rows.rotate_left(middle);
    "id,date,spent\n".to_owned() + &rows.concat()
}
