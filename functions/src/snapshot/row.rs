//! One customer of the list: everything that is said of them, from their state alone.

use std::collections::BTreeSet;

use nextbest_models::action::CampaignType;
use nextbest_models::artifact::Artifact;
use nextbest_models::customer::CustomerId;
use nextbest_models::decision::{Candidate, Decision, FunnelStage};
use nextbest_models::lifecycle::Stage;
use nextbest_models::policy::control::Assignment;
use nextbest_models::policy::{Question, Situation, decide};
use nextbest_models::propensity::PropensityModel;
use nextbest_models::units::{Probability, Seed, Timestamp};
use nextbest_models::uplift::UpliftModel;
use nextbest_models::value::{CustomerSummary, LifetimeModels};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::order::Order;
use crate::app::App;
use crate::decisions;
use crate::store::StoredCustomer;

/// The model whose outcome is churn.
pub const CHURN: &str = "churn";
/// The uplift model whose outcome is churn, treated by what is done against it.
pub const SAVE: &str = "save";

const DRIVERS: usize = 3;
/// Least probability of the band `high`.
pub(crate) const HIGH: f64 = 0.5;
/// Least probability of the band `medium`.
pub(crate) const MEDIUM: f64 = 0.25;

/// One customer of a snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AtRisk {
    /// Who.
    pub customer_id: CustomerId,
    /// P(churn), calibrated.
    pub churn_probability: f64,
    /// Bounds of it at the header's `interval_level`; none where the model carries none.
    pub churn_interval: Option<(f64, f64)>,
    /// high (from 0.5), medium (from 0.25) or low.
    pub band: String,
    /// Where they stand.
    pub lifecycle_stage: Stage,
    /// What they spent in the activity window, in minor units.
    pub recent_value_minor: i64,
    /// Churn probability times recent value, in minor units.
    pub value_at_risk_minor: i64,
    /// What they will still bring; none without a model, or without a purchase that stands.
    pub clv: Option<Clv>,
    /// How much less likely to leave what is done against it makes them; none without a model.
    pub save_uplift: Option<SaveUplift>,
    /// Uplift times lifetime value, less the cost of the recommended action, in minor units.
    pub net_save_value_minor: Option<i64>,
    /// Codes of the reasons that raise the probability most.
    pub drivers: Vec<String>,
    /// What the policy would offer first.
    pub recommended: Option<Recommended>,
    /// Through what they may be contacted now.
    pub contactable: Contactable,
    /// To which control groups they belong.
    pub control: Assignment,
}

/// What a customer will still bring.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Clv {
    /// Discounted margin of the purchases within the horizon, in minor units.
    pub value_minor: i64,
    /// Lower end of its interval; null where the model carries none.
    pub lo_minor: Option<i64>,
    /// Upper end.
    pub hi_minor: Option<i64>,
    /// The probability with which the interval covers.
    pub level: Option<f64>,
    /// Who tells the value, and so what the interval is of.
    #[serde(default)]
    pub basis: ClvBasis,
    /// Purchases within the horizon, by the closed form; null without one.
    pub expected_purchases: Option<f64>,
    /// P(still a customer), by the closed form; null without one.
    pub p_alive: Option<f64>,
    /// Whether the latter is 1 by assumption: of who bought once nothing tells.
    pub bought_once: bool,
}

/// Who tells a lifetime value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClvBasis {
    /// BG/NBD and Gamma-Gamma; the interval is of the expectation.
    #[default]
    ClosedForm,
    /// Trees of realised value; the interval is of the outcome.
    RealisedValue,
}

/// How much less likely to leave a contact makes a customer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SaveUplift {
    /// P(churn without) less P(churn with).
    pub value: f64,
    /// Lower end of its interval.
    pub lo: f64,
    /// Upper end.
    pub hi: f64,
}

/// What would be offered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Recommended {
    /// The action.
    pub action_id: String,
    /// Its form.
    pub treatment_id: String,
    /// Through what.
    pub channel: String,
    /// Of one contact, in minor units.
    pub cost_minor: i64,
}

/// Through what a customer may be contacted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Contactable {
    /// Channels by which the policy would offer something now.
    pub channels: Vec<String>,
    /// Why there is none: `objected`, `control_group`, or the step of the funnel at which most actions fell.
    pub code: Option<String>,
}

/// What scores the rows of a snapshot.
pub(super) struct Scorers<'a> {
    app: &'a App,
    churn: &'a PropensityModel,
    lifetime: LifetimeModels<'a>,
    save: Option<&'a UpliftModel>,
    /// Who answers, where uplift rests on it.
    answer: Option<&'a PropensityModel>,
    now: Timestamp,
}

impl<'a> Scorers<'a> {
    /// Of `artifact`; none where it has no churn model.
    pub(super) fn of(app: &'a App, artifact: &'a Artifact, now: Timestamp) -> Option<Self> {
        let churn = artifact.propensity(CHURN)?;
        let save = artifact.uplifts().find(|model| model.name() == SAVE);
        let named = app.project.settings.uplifts.get(SAVE).and_then(|rule| rule.answer.as_deref());
        let answer = named.filter(|_| save.is_some_and(UpliftModel::is_answered));
        let answer = answer.and_then(|name| artifact.propensity(name));
        Some(Self { app, churn, lifetime: artifact.lifetime_models(), save, answer, now })
    }

    /// Whether rows may have the number of `order`.
    pub(super) const fn tells(&self, order: Order) -> bool {
        match order {
            Order::NetSaveValue => self.save.is_some() && self.tells_value(),
            Order::LifetimeValue => self.tells_value(),
            Order::SaveUplift => self.save.is_some(),
            Order::ValueAtRisk | Order::ChurnProbability => true,
        }
    }

    const fn tells_value(&self) -> bool {
        self.lifetime.are_there()
    }

    /// The row of a customer; none when they are no longer one by the activity rule.
    pub(super) fn row(&self, stored: &StoredCustomer) -> Option<AtRisk> {
        let (customer, project, today) = (&stored.customer, &self.app.project, self.now.day());
        let window_days = project.settings.activity.window_days;
        customer.inactive_days(&project.schema, today).filter(|days| *days <= window_days)?;
        let situation = decisions::known::situation(self.app, stored, true, self.now, Seed(0));
        let features = &situation.features;
        let (probability, explanation) = self.churn.score_and_explain(features);
        let named = project.reasons.name_contributions(&explanation);
        let raising = named.iter().filter(|part| part.log_odds > 0.0).take(DRIVERS);
        let drivers = raising.map(|part| part.code.to_owned()).collect();
        let decision =
            decide(&project.policy, &situation, &Question { max_actions: 1, ..Question::default() });
        let saving = project.settings.uplifts.get(SAVE).map_or(&[][..], |rule| &rule.campaign_type);
        let recommended = recommended(&decision, saving);
        let clv = self.clv(stored, features);
        let save_uplift = self.save.map(|model| {
            let answers = recommended.and_then(|contact| self.answers(contact, &situation));
            let told = answers
                .map_or_else(|| model.score(features), |answers| model.score_answered(answers, probability));
            // The outcome is churn: less of it is what is gained.
            SaveUplift { value: -told.value, lo: -told.hi, hi: -told.lo }
        });
        let recommended = recommended.map(Recommended::of);
        let probability = probability.get();
        let net = save_uplift.zip(clv).map(|(uplift, clv)| {
            let cost = recommended.as_ref().map_or(0, |action| action.cost_minor);
            share(clv.value_minor, uplift.value) - cost
        });
        Some(AtRisk {
            customer_id: customer.id().clone(),
            churn_probability: probability,
            churn_interval: self.churn.score_interval(features).map(|(lo, hi)| (lo.get(), hi.get())),
            band: band(probability).to_owned(),
            lifecycle_stage: situation.standing.stage,
            recent_value_minor: situation.recent_value_minor,
            value_at_risk_minor: share(situation.recent_value_minor, probability),
            clv,
            save_uplift,
            net_save_value_minor: net,
            drivers,
            contactable: contactable(&decision, &situation),
            recommended,
            control: situation.control,
        })
    }

    /// How likely `contact` is answered, where uplift rests on a model that tells.
    fn answers(&self, contact: &Candidate, situation: &Situation) -> Option<Probability> {
        let model = self.answer.filter(|model| model.name() == &*contact.propensity_model)?;
        Some(model.score(&situation.row_of(contact, model)))
    }

    /// By trees of realised value where the artifact has them, else by the closed form; none of who has no purchase that stands.
    fn clv(&self, stored: &StoredCustomer, features: &[f64]) -> Option<Clv> {
        let (models, today) = (self.lifetime, self.now.day());
        let summary = CustomerSummary::of(&stored.customer, &self.app.project.schema, today, models.unit())?;
        let told = models.score(&summary, features);
        let (interval, level, basis) = if let Some((model, told)) = models.realised.zip(told.realised) {
            (Some((told.lo_minor, told.hi_minor)), Some(model.line().level()), ClvBasis::RealisedValue)
        } else {
            let told = models.closed.and_then(|model| model.interval(&summary));
            (told.map(|told| (told.lo, told.hi)), told.map(|told| told.level), ClvBasis::ClosedForm)
        };
        Some(Clv {
            value_minor: told.value_minor()?,
            lo_minor: interval.map(|(lo, _)| whole(lo)),
            hi_minor: interval.map(|(_, hi)| whole(hi)),
            level,
            basis,
            expected_purchases: told.closed.map(|told| told.expected_purchases),
            p_alive: told.closed.map(|told| told.p_alive),
            bought_once: summary.purchases.x() == 0.0,
        })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "amounts stay far below 2^53")]
fn whole(minor: f64) -> i64 {
    minor.round() as i64
}

#[expect(clippy::cast_precision_loss, reason = "amounts stay far below 2^53")]
fn share(value_minor: i64, share: f64) -> i64 {
    whole(value_minor as f64 * share)
}

const fn band(probability: f64) -> &'static str {
    if probability >= HIGH {
        "high"
    } else if probability >= MEDIUM {
        "medium"
    } else {
        "low"
    }
}

/// What would be decided now, exploration aside: by the same policy, caps, budgets and control group. Of what may be offered,
/// an action of the `saving` campaign types goes before all others: it is what uplift speaks of.
fn recommended<'d>(decision: &'d Decision, saving: &[CampaignType]) -> Option<&'d Candidate> {
    // The first by priority, whichever exploration drew.
    let all = decision.actions.iter().chain(&decision.outranked);
    let saves = |campaign: &CampaignType| saving.contains(campaign);
    all.max_by(|a, b| {
        (a.mandatory.cmp(&b.mandatory))
            .then_with(|| saves(&a.campaign_type).cmp(&saves(&b.campaign_type)))
            .then_with(|| a.priority.total_cmp(&b.priority))
            .then_with(|| b.action_id.cmp(&a.action_id))
    })
}

impl Recommended {
    fn of(candidate: &Candidate) -> Self {
        Self {
            action_id: candidate.action_id.to_string(),
            treatment_id: candidate.treatment_id.to_string(),
            channel: candidate.channel.to_string(),
            cost_minor: candidate.cost_minor,
        }
    }
}

fn contactable(decision: &Decision, situation: &Situation) -> Contactable {
    let survivors = decision.actions.iter().chain(&decision.outranked);
    let channels: BTreeSet<String> = survivors.map(|action| action.channel.to_string()).collect();
    let code = channels.is_empty().then(|| match situation {
        Situation { objected: true, .. } => "objected".to_owned(),
        Situation { control: Assignment { policy: true, .. }, .. } => "control_group".to_owned(),
        _ => most(decision).map_or_else(|| "no_action".to_owned(), step),
    });
    Contactable { channels: channels.into_iter().collect(), code }
}

/// The step's name, as answers have it.
fn step(stage: FunnelStage) -> String {
    serde_json::to_value(stage).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The step at which most actions fell, the later of equal ones.
fn most(decision: &Decision) -> Option<FunnelStage> {
    let stages = decision.suppressed.iter().map(|fallen| fallen.stage);
    let counted = stages.clone().map(|stage| (stages.clone().filter(|other| *other == stage).count(), stage));
    counted.max().map(|(_, stage)| stage)
}
