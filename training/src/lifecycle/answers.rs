//! Answers to surveys: promoters, passives, detractors, by what each customer answered last.

use nextbest_models::customer::life::PROMOTER_NPS;
use nextbest_models::event::{Event, EventType};
use nextbest_models::units::Timestamp;

use super::measure::net_promoters;
use super::{AnswerCounts, Look, Measure};

/// The attribute that carries the score.
const SCORE: &str = "nps";
/// The highest score.
const HIGHEST: f64 = 10.0;
/// Who answers less is a detractor.
const PASSIVE_NPS: f64 = 7.0;

/// What was counted of answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Answers(AnswerCounts);

impl Answers {
    /// The latest answer by when it was given, within the days for which the lifecycle machine remembers a promoter.
    pub(super) fn add(&mut self, look: &Look<'_>, known: &[Event]) {
        let since = look.as_of.plus_days(-look.project.settings.lifecycle.advocate_days);
        let mut latest: Option<(Timestamp, f64)> = None;
        let counted =
            |event: &&Event| event.event_type == EventType::SurveyAnswered && event.occurred_at >= since;
        for event in known.iter().filter(counted) {
            match event.number(SCORE).filter(|score| (0.0..=HIGHEST).contains(score)) {
                Some(score) if latest.is_none_or(|(at, _)| at <= event.occurred_at) => {
                    latest = Some((event.occurred_at, score));
                }
                Some(_) => {}
                None => self.0.n_unread += 1,
            }
        }
        let Some((_, score)) = latest else { return };
        let class = match score {
            score if score >= PROMOTER_NPS => &mut self.0.n_promoters,
            score if score >= PASSIVE_NPS => &mut self.0.n_passives,
            _ => &mut self.0.n_detractors,
        };
        *class += 1;
    }

    pub(super) const fn merge(&mut self, other: &Self) {
        self.0.n_promoters += other.0.n_promoters;
        self.0.n_passives += other.0.n_passives;
        self.0.n_detractors += other.0.n_detractors;
        self.0.n_unread += other.0.n_unread;
    }

    pub(super) fn counts(&self) -> AnswerCounts {
        self.0.clone()
    }

    pub(super) fn net(&self) -> Measure {
        let AnswerCounts { n_promoters, n_passives, n_detractors, .. } = self.0;
        net_promoters(n_promoters, n_detractors, n_promoters + n_passives + n_detractors)
    }
}
