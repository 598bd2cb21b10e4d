//! Gamma-Gamma: what one purchase of a customer is worth, drawn toward all others' by how few are known.

use serde::{Deserialize, Serialize};

use super::gamma::ln_gamma;
use super::summary::SpendSummary;
use super::{ParameterFault, positive};

/// The Gamma-Gamma model of spend (Fader and Hardie 2013, "The Gamma-Gamma model of monetary value").
///
/// A purchase of a customer is Gamma(`p`, rate `nu`), and `nu ~ Gamma(q, rate v)` over customers. `v` is in the unit of
/// value, `p` and `q` have none. Spend is taken to be independent of how often one buys; where it is not (the report
/// tells the correlation), heavy buyers are told too much or too little. One purchase far above the rest moves a customer
/// more than it should.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Draft")]
pub struct GammaGamma {
    p: f64,
    q: f64,
    v: f64,
}

#[derive(Deserialize)]
struct Draft {
    p: f64,
    q: f64,
    v: f64,
}

impl TryFrom<Draft> for GammaGamma {
    type Error = ParameterFault;

    fn try_from(Draft { p, q, v }: Draft) -> Result<Self, ParameterFault> {
        Self::new(p, q, v)
    }
}

impl GammaGamma {
    /// Checked: all finite and above 0.
    pub fn new(p: f64, q: f64, v: f64) -> Result<Self, ParameterFault> {
        positive([("p", p), ("q", q), ("v", v)])?;
        Ok(Self { p, q, v })
    }

    /// `[p, q, v]`.
    #[must_use]
    pub const fn parameters(&self) -> [f64; 3] {
        [self.p, self.q, self.v]
    }

    /// The same model in another unit of value, `factor` of which make one of this: 100 from pounds to pence.
    pub fn in_unit(&self, factor: f64) -> Result<Self, ParameterFault> {
        Self::new(self.p, self.q, self.v * factor)
    }

    /// The log-likelihood of a mean `z` over `n` purchases:
    /// `ln Γ(pn+q) / (Γ(pn) Γ(q)) v^q z^(pn-1) n^pn / (v + n z)^(pn+q)`.
    #[must_use]
    pub fn log_likelihood(&self, of: &SpendSummary) -> f64 {
        let Self { p, q, v } = *self;
        let (n, z) = (of.n(), of.mean());
        let shape = p * n;
        ln_gamma(shape + q) - ln_gamma(shape) - ln_gamma(q)
            + q * v.ln()
            + (shape - 1.0) * z.ln()
            + shape * n.ln()
            - (shape + q) * (v + n * z).ln()
    }

    /// `E[spend per purchase | n, z] = p (v + n z) / (p n + q - 1)`, a mean of `z` and the population's weighted by
    /// `p n` to `q - 1`; of one without a known purchase `p v / (q - 1)`. None where no mean exists: `p n + q <= 1`.
    #[must_use]
    pub fn expected_spend(&self, of: Option<&SpendSummary>) -> Option<f64> {
        let Self { p, q, v } = *self;
        let (n, z) = of.map_or((0.0, 0.0), |of| (of.n(), of.mean()));
        let weight = p * n + q - 1.0;
        (weight > 0.0).then(|| p * (v + n * z) / weight).filter(|spend| spend.is_finite())
    }

    /// `d ln E[spend] / d ln [p, q, v]`, with `w = p n + q - 1`: `1 - p n / w`, `-q / w`, `v / (v + n z)`; none where no mean
    /// exists.
    #[must_use]
    pub fn log_gradient(&self, of: Option<&SpendSummary>) -> Option<[f64; 3]> {
        let Self { p, q, v } = *self;
        let (n, z) = of.map_or((0.0, 0.0), |of| (of.n(), of.mean()));
        let weight = p * n + q - 1.0;
        (weight > 0.0).then(|| [1.0 - p * n / weight, -q / weight, v / (v + n * z)])
    }
}
