//! Purchases and spend joined: what a customer will bring within a horizon, discounted.

use serde::{Deserialize, Serialize};

use super::bg_nbd::{BgNbd, PAlive};
use super::covariates::Covariate;
use super::discount::Discounting;
use super::errors::ParameterErrors;
use super::gamma_gamma::GammaGamma;
use super::summary::{CustomerSummary, TimeUnit};

/// Version of the sealed form.
const FORMAT: u16 = 1;
/// Longest horizon.
const MAX_UNITS: u32 = 1_200;

/// Why parts make no lifetime model.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ModelFault {
    /// A horizon of nothing, or of a lifetime of a different kind.
    #[error("a horizon of {0} units; it must be 1 to {MAX_UNITS}")]
    Horizon(u32),
    /// No discount.
    #[error("a discount rate of {0} a unit; it must be a finite number of at least 0")]
    Discount(f64),
    /// No share.
    #[error("a margin of {0}; it must be a share of the value, above 0 and at most 1")]
    Margin(f64),
    /// Written by another version.
    #[error("the lifetime model has format {0}, this version reads {FORMAT}")]
    Format(u16),
}

/// How far a lifetime value looks, and what a later purchase is worth today.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "HorizonDraft")]
pub struct Horizon {
    n_units: u32,
    discount_rate: f64,
    margin: f64,
}

#[derive(Deserialize)]
struct HorizonDraft {
    n_units: u32,
    discount_rate: f64,
    margin: f64,
}

impl TryFrom<HorizonDraft> for Horizon {
    type Error = ModelFault;

    fn try_from(draft: HorizonDraft) -> Result<Self, ModelFault> {
        Self::new(draft.n_units, draft.discount_rate, draft.margin)
    }
}

impl Horizon {
    /// Checked: 1 to 1200 units of the model's time, a discount rate per unit of at least 0, a margin share in (0, 1].
    pub fn new(n_units: u32, discount_rate: f64, margin: f64) -> Result<Self, ModelFault> {
        if !(1..=MAX_UNITS).contains(&n_units) {
            return Err(ModelFault::Horizon(n_units));
        }
        if !discount_rate.is_finite() || discount_rate < 0.0 {
            return Err(ModelFault::Discount(discount_rate));
        }
        if !(margin > 0.0 && margin <= 1.0) {
            return Err(ModelFault::Margin(margin));
        }
        Ok(Self { n_units, discount_rate, margin })
    }

    /// Units of time.
    #[must_use]
    pub const fn n_units(&self) -> u32 {
        self.n_units
    }

    /// Per unit of time: 0.002 a week is 11 % a year.
    #[must_use]
    pub const fn discount_rate(&self) -> f64 {
        self.discount_rate
    }

    /// Share of a purchase's value that is kept.
    #[must_use]
    pub const fn margin(&self) -> f64 {
        self.margin
    }
}

/// A number of a [`ValueScore`] that is not there, or is there by assumption.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoreCode {
    /// One-time buyers are alive by assumption.
    NoRepeatPurchase,
    /// The artifact has no model of spend.
    NoSpendModel,
    /// No value of this customer is known: the population's mean.
    PopulationMean,
    /// The model has no mean for so few purchases.
    SpendMeanUndefined,
}

impl ScoreCode {
    /// As it is written in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoRepeatPurchase => "no_repeat_purchase",
            Self::NoSpendModel => "no_spend_model",
            Self::PopulationMean => "population_mean",
            Self::SpendMeanUndefined => "spend_mean_undefined",
        }
    }
}

/// What is told of one customer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ValueScore {
    /// P(still a customer).
    pub p_alive: f64,
    /// Why that is 1 without saying anything.
    pub p_alive_code: Option<ScoreCode>,
    /// Purchases within the horizon.
    pub expected_purchases: f64,
    /// Value of one of them; null with a code.
    pub expected_spend: Option<f64>,
    /// Why there is no spend, or whose it is.
    pub spend_code: Option<ScoreCode>,
    /// Discounted margin of the purchases within the horizon; null where spend is.
    pub lifetime_value: Option<f64>,
}

/// A lifetime model: purchases, spend, the unit of time, the horizon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "ModelDraft")]
pub struct LifetimeModel {
    format: u16,
    unit: TimeUnit,
    bg_nbd: BgNbd,
    gamma_gamma: Option<GammaGamma>,
    horizon: Horizon,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<ParameterErrors>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    covariates: Vec<Covariate>,
    #[serde(skip)]
    discounting: Discounting,
}

#[derive(Deserialize)]
struct ModelDraft {
    format: u16,
    unit: TimeUnit,
    bg_nbd: BgNbd,
    gamma_gamma: Option<GammaGamma>,
    horizon: Horizon,
    #[serde(default)]
    errors: Option<ParameterErrors>,
    #[serde(default)]
    covariates: Vec<Covariate>,
}

impl TryFrom<ModelDraft> for LifetimeModel {
    type Error = ModelFault;

    fn try_from(draft: ModelDraft) -> Result<Self, ModelFault> {
        if draft.format != FORMAT {
            return Err(ModelFault::Format(draft.format));
        }
        let model = Self::new(draft.unit, draft.bg_nbd, draft.gamma_gamma, draft.horizon);
        Ok(Self { errors: draft.errors, covariates: draft.covariates, ..model })
    }
}

impl LifetimeModel {
    /// Of parts that were checked when they were made. Without `gamma_gamma` there are purchases and no values.
    #[must_use]
    pub fn new(unit: TimeUnit, bg_nbd: BgNbd, gamma_gamma: Option<GammaGamma>, horizon: Horizon) -> Self {
        let discounting = Discounting::new(horizon.n_units, horizon.discount_rate);
        let covariates = Vec::new();
        Self { format: FORMAT, unit, bg_nbd, gamma_gamma, horizon, errors: None, covariates, discounting }
    }

    /// The same model with the errors of its parameters, from which [`Self::interval`] is told.
    #[must_use]
    pub fn with_errors(self, errors: ParameterErrors) -> Self {
        Self { errors: Some(errors), ..self }
    }

    /// The same model, its BG/NBD that of a customer with the mean of each of `covariates`; [`Self::of`] tells that of any
    /// other.
    #[must_use]
    pub fn with_covariates(self, covariates: Vec<Covariate>) -> Self {
        Self { covariates, ..self }
    }

    /// The same model with another BG/NBD, and no covariates.
    pub(super) fn with_bg_nbd(&self, bg_nbd: BgNbd) -> Self {
        Self { bg_nbd, covariates: Vec::new(), ..self.clone() }
    }

    /// What else of a customer it asks for.
    #[must_use]
    pub fn covariates(&self) -> &[Covariate] {
        &self.covariates
    }

    /// How sure its parameters are; none in files sealed before that was kept.
    #[must_use]
    pub const fn errors(&self) -> Option<&ParameterErrors> {
        self.errors.as_ref()
    }

    /// In what time is counted.
    #[must_use]
    pub const fn unit(&self) -> TimeUnit {
        self.unit
    }

    /// When they buy.
    #[must_use]
    pub const fn bg_nbd(&self) -> &BgNbd {
        &self.bg_nbd
    }

    /// What they pay.
    #[must_use]
    pub const fn gamma_gamma(&self) -> Option<&GammaGamma> {
        self.gamma_gamma.as_ref()
    }

    /// How far it looks.
    #[must_use]
    pub const fn horizon(&self) -> &Horizon {
        &self.horizon
    }

    /// The same model over another horizon.
    #[must_use]
    pub fn over(self, horizon: Horizon) -> Self {
        let discounting = Discounting::new(horizon.n_units, horizon.discount_rate);
        Self { horizon, discounting, ..self }
    }

    /// All that is told of one customer. With a discount rate purchases are asked for at a few nodes of the horizon, or, where
    /// these are not sure enough, unit by unit (`cargo bench -p nextbest-models --bench value` tells what it takes).
    #[must_use]
    pub fn score(&self, of: &CustomerSummary) -> ValueScore {
        let alive = self.bg_nbd.p_alive(&of.purchases);
        let (purchases, discounted) = self.purchases(&self.bg_nbd, of, alive.get());
        let (expected_spend, spend_code) = self.spend(of);
        ValueScore {
            p_alive: alive.get(),
            p_alive_code: matches!(alive, PAlive::NoRepeat).then_some(ScoreCode::NoRepeatPurchase),
            expected_purchases: purchases,
            expected_spend,
            spend_code,
            lifetime_value: expected_spend.map(|spend| self.horizon.margin * spend * discounted),
        }
    }

    /// Purchases within the horizon, plain and discounted: `sum_i (E[Y(i)] - E[Y(i-1)]) / (1 + d)^i`, a purchase counted
    /// at the end of its unit; within 1e-11 of that sum.
    fn purchases(&self, bg_nbd: &BgNbd, of: &CustomerSummary, p_alive: f64) -> (f64, f64) {
        let by = |t: f64| bg_nbd.expected_if_alive(&of.purchases, t);
        let derivative = |order: u32| bg_nbd.derivative(&of.purchases, order);
        let (all, discounted) = self.discounting.sum(by, derivative);
        (p_alive * all, p_alive * discounted)
    }

    /// Discounted purchases within the horizon under other parameters of BG/NBD; none where these are no model's, or
    /// nothing above 0 is expected.
    pub(super) fn discounted_under(&self, [r, alpha, a, b]: [f64; 4], of: &CustomerSummary) -> Option<f64> {
        let other = BgNbd::new(r, alpha, a, b).ok()?;
        let p_alive = other.p_alive(&of.purchases).get();
        Some(self.purchases(&other, of, p_alive).1).filter(|purchases| *purchases > 0.0)
    }

    fn spend(&self, of: &CustomerSummary) -> (Option<f64>, Option<ScoreCode>) {
        let Some(model) = &self.gamma_gamma else { return (None, Some(ScoreCode::NoSpendModel)) };
        match (model.expected_spend(of.spend.as_ref()), of.spend) {
            (None, _) => (None, Some(ScoreCode::SpendMeanUndefined)),
            (spend, None) => (spend, Some(ScoreCode::PopulationMean)),
            (spend, Some(_)) => (spend, None),
        }
    }
}
