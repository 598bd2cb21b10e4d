//! `nextbest fit-uplift` as it is typed: what it tells and seals, what it refuses, and every command of its page.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[path = "table/made.rs"]
#[expect(dead_code, reason = "shared with the tests of tables")]
mod made;
#[path = "fit_uplift/bad_input.rs"]
mod bad_input;
#[path = "fit_uplift/answers.rs"]
mod answers;

use made::Draw;

/// `id,age,plan,mail,p,bought,fold`: a fifth gets no letter at all and is of neither arm; others get a mail with
/// probability `p`, 0.3 or 0.7 by plan, which raises a purchase by 0.3 below the age of 45 and not above. Some ages are
/// missing.
fn mails(n: usize) -> String {
    let mut draw = Draw(5);
    let mut csv = "id,age,plan,mail,p,bought,fold\n".to_owned();
    for row in 0..n {
        let age = 20 + draw.below(51);
        let plan = draw.below(2);
        let p = [0.3, 0.7][plan as usize];
        let arm = match (draw.unit() < 0.2, draw.unit() < p) {
            (true, _) => "none",
            (_, true) => "sent",
            (_, false) => "held",
        };
        let tau = if arm == "sent" && age < 45 { 0.3 } else { 0.0 };
        let bought = u8::from(draw.unit() < 0.2 + 0.2 * plan as f64 + tau);
        let age = if draw.unit() < 0.05 { String::new() } else { age.to_string() };
        csv +=
            &format!("C{row:05},{age},{},{arm},{p},{bought},{}\n", ["free", "paid"][plan as usize], row % 4);
    }
    csv
}
