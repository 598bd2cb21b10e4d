//! From what was counted to what is told: the metrics with their definitions, and the notes.

use nextbest_models::customer::life::PROMOTER_NPS;

use super::{
    ChurnAt, Code, LifecycleReport, Look, Measure, Metric, OPT_OUT_DAYS, RECENT_DAYS, Retention, Tally, Unit,
};

impl Look<'_> {
    /// What `tally`, of all customers, comes to.
    #[must_use]
    pub fn report(&self, tally: &Tally) -> LifecycleReport {
        let (churn, retention) = (self.churn(tally), tally.orders.retention(self));
        let seen_since = |days: i32| tally.first.is_some_and(|first| first <= self.as_of.plus_days(-days));
        let moves = if seen_since(RECENT_DAYS) { tally.stages.moves() } else { Vec::new() };
        let changes = if seen_since(RECENT_DAYS) { tally.stages.changes() } else { Vec::new() };
        LifecycleReport {
            name: self.project.settings.name.clone(),
            policy_sha256: self.project.fingerprint(),
            from: tally.first,
            as_of: self.as_of,
            n_customers: tally.n_customers,
            metrics: self.metrics(tally, &retention, &churn),
            stages: tally.stages.shares(),
            moves,
            changes,
            answers: tally.answers.counts(),
            responses: tally.contacts.responses(),
            notes: self.notes(tally),
            retention,
            churn,
        }
    }

    /// Cut-offs before the first event have nobody to lose.
    fn churn(&self, tally: &Tally) -> Vec<ChurnAt> {
        let counted = self.cutoffs.iter().zip(&tally.churn);
        let seen = counted.filter(|(cutoff, _)| tally.first.is_some_and(|first| first < **cutoff));
        let share = |(n, churned): (u64, u64)| Measure::share(churned, n, Code::NoCustomers);
        seen.map(|(cutoff, counts)| ChurnAt { cutoff: *cutoff, measure: share(*counts) }).collect()
    }

    fn metrics(&self, tally: &Tally, retention: &Retention, churn: &[ChurnAt]) -> Vec<Metric> {
        let no_churn = match (self.label(), tally.n_customers) {
            (None, _) => Code::NoChurnLabel,
            (_, 0) => Code::NoCustomers,
            _ => Code::LogTooShort,
        };
        let lost = churn.last().map_or(Measure::none(no_churn), |last| last.measure);
        let too_young =
            Measure::none(if tally.n_customers == 0 { Code::NoCustomers } else { Code::NotMatured });
        let window_days = self.project.settings.activity.window_days;
        let covers = tally.first.is_none_or(|first| first <= self.as_of.plus_days(-window_days));
        let frequency = if covers { tally.orders.frequency() } else { Measure::none(Code::LogTooShort) };
        let measures = [
            tally.orders.activation(),
            tally.orders.repeat(),
            frequency,
            tally.orders.gap(),
            retention.months.first().copied().unwrap_or(too_young),
            lost,
            lost.complement(),
            tally.stages.loyalty(),
            tally.answers.net(),
            tally.contacts.response(),
            tally.contacts.opt_out(),
        ];
        let named = |(words, measure): (Words, Measure)| Metric {
            name: words.name,
            title: words.title,
            definition: words.definition,
            numerator_is: words.over.0,
            denominator_is: words.over.1,
            unit: words.unit,
            measure,
        };
        self.words(churn).into_iter().zip(measures).map(named).collect()
    }

    fn notes(&self, tally: &Tally) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some(first) = tally.first {
            let day = first.day();
            notes.push(format!(
                "the log begins on {day}: who bought before counts as first buying after it, so the first cohorts hold old customers"
            ));
        }
        let n_unread = tally.answers.counts().n_unread;
        if n_unread > 0 {
            notes.push(format!("answers to surveys without an nps of 0 to 10, not counted: {n_unread}"));
        }
        if tally.first.is_some_and(|first| first > self.as_of.plus_days(-RECENT_DAYS)) {
            notes.push(format!("log_too_short: moves between stages need {RECENT_DAYS} days"));
        }
        notes
    }
}

/// What is said of a metric.
struct Words {
    name: &'static str,
    title: &'static str,
    unit: Unit,
    /// Numerator and denominator.
    over: (&'static str, &'static str),
    definition: String,
}

const fn words(
    name: &'static str,
    title: &'static str,
    unit: Unit,
    over: (&'static str, &'static str),
    definition: String,
) -> Words {
    Words { name, title, unit, over, definition }
}

impl Look<'_> {
    /// In the order of the measures.
    fn words(&self, churn: &[ChurnAt]) -> Vec<Words> {
        let (orders, loss) = (self.words_of_orders(), self.words_of_loss(churn));
        orders.into_iter().chain(loss).chain(self.words_of_voices()).collect()
    }

    fn words_of_orders(&self) -> [Words; 5] {
        let settings = &self.project.settings;
        let (risk_days, window_days) = (settings.lifecycle.at_risk_days, settings.activity.window_days);
        [
            words(
                "activation",
                "Activation",
                Unit::Share,
                ("customers with a second order in time", "customers whose first order is that long ago"),
                format!(
                    "Of customers whose first order is more than {risk_days} days ago, the share whose second came within \
                     {risk_days} days, before silence would have put them at risk (at_risk_days of [lifecycle])."
                ),
            ),
            words(
                "repeat_purchase_rate",
                "Repeat purchase rate",
                Unit::Share,
                ("customers with two orders or more", "customers with an order"),
                "Of customers with an order, the share with a second. Those who came lately had little time for one.".into(),
            ),
            words(
                "purchase_frequency",
                "Purchase frequency",
                Unit::Orders,
                ("orders in the window", "customers with an order in the window"),
                format!(
                    "Orders of the last {window_days} days (window_days of [activity]) by customer with one, on average."
                ),
            ),
            words(
                "time_between_orders",
                "Time between orders",
                Unit::Days,
                ("", "customers with two orders or more"),
                "Days from an order to the next: the median over customers of the median of each. The time since the last order \
                 is not in it, so it is short of the truth where many pause."
                    .into(),
            ),
            words(
                "retention_month_1",
                "Retention, first month",
                Unit::Share,
                ("customers with an order in the next month", "customers whose next month is over"),
                "Of customers whose first order fell into a calendar month (UTC), the share with an order in the month after; all \
                 cohorts whose month is over."
                    .into(),
            ),
        ]
    }

    fn words_of_loss(&self, churn: &[ChurnAt]) -> [Words; 3] {
        let settings = &self.project.settings;
        let rule = self
            .label()
            .map_or_else(|| "needs [labels.churn] in nextbest.toml".to_owned(), crate::diagnostics::in_words);
        let at = churn.last().map_or_else(String::new, |last| format!(" on {}", last.cutoff.day()));
        let population = format!(
            "Among customers active{at}: an order within {} days before ([activity])",
            settings.activity.window_days
        );
        let active = "customers active at the latest cut-off whose horizon is over";
        [
            words(
                "churn",
                "Churn",
                Unit::Share,
                ("those of them who churned", active),
                format!("{population}; observed. The label churn: {rule}."),
            ),
            words(
                "not_churned",
                "Kept",
                Unit::Share,
                ("those of them who did not churn", active),
                "The complement of churn: same customers, same cut-off.".into(),
            ),
            words(
                "loyalty",
                "Loyalty",
                Unit::Share,
                ("customers who are loyal or advocate", "customers who still buy"),
                "Of customers who are new, activating, active, loyal, advocate or recovered today, the share that is loyal or \
                 advocate ([lifecycle])."
                    .into(),
            ),
        ]
    }

    fn words_of_voices(&self) -> [Words; 3] {
        let rules = &self.project.settings.lifecycle;
        let response_days = rules.response_days;
        [
            words(
                "net_promoter_score",
                "Net promoter score",
                Unit::Points,
                ("promoters less detractors", "customers who answered"),
                format!(
                    "100 times the share of promoters ({PROMOTER_NPS:.0} and 10) less that of detractors (0 to 6), by each \
                     customer's last answer within {} days (advocate_days of [lifecycle]). Who answers is no random sample.",
                    rules.advocate_days
                ),
            ),
            words(
                "response_rate",
                "Response rate",
                Unit::Share,
                ("contacts answered", "contacts made"),
                format!(
                    "Of {RECENT_DAYS} days of contacts, the share that was clicked, accepted or answered (a survey) within \
                     {response_days} days (response_days of [lifecycle]); only contacts whose {response_days} days are over."
                ),
            ),
            words(
                "opt_out_rate",
                "Opt-out rate",
                Unit::Share,
                ("those who withdrew consent", "customers contacted"),
                format!(
                    "Of customers contacted in {RECENT_DAYS} days that ended {OPT_OUT_DAYS} days ago, the share that withdrew \
                     consent, on one channel or all, within {OPT_OUT_DAYS} days of a contact."
                ),
            ),
        ]
    }
}
