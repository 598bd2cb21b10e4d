//! The arms: the orders in which candidates are contacted, and what came of each.

use std::collections::BTreeMap;

use hessboost::config::{TrainingParams, TreeMethod};
use hessboost::data::DMatrix;
use hessboost::model::Iterations;
use hessboost::objective::{Objective, RegLoss};
use hessboost::training::Trainer;
use nextbest_functions::snapshot::Order;

use super::{Candidate, Round};

/// Contacts, as shares of the active customers; the targets are of the second.
pub const BUDGETS: [f64; 3] = [0.05, 0.10, 0.20];
pub const MAIN: usize = 1;

/// In which order candidates are contacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arm {
    /// Any order: the mean over all.
    Random,
    /// An order of the list.
    Listed(Order),
    /// By what trees tell from the same features that were told the true savings of all other seeds' candidates: about what
    /// could at most be learned of them from a log, were its outcomes without noise and its shops many.
    Told,
    /// By the true savings. It knows the law, the market to come, and each customer's hidden mood, stock, fatigue and traits; not
    /// what is drawn afterwards.
    Oracle,
}

impl Arm {
    pub const ALL: [Self; 8] = [
        Self::Random,
        Self::Listed(Order::ChurnProbability),
        Self::Listed(Order::ValueAtRisk),
        Self::Listed(Order::LifetimeValue),
        Self::Listed(Order::SaveUplift),
        Self::Listed(Order::NetSaveValue),
        Self::Told,
        Self::Oracle,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Listed(Order::ChurnProbability) => "risk (`churn_probability`)",
            Self::Listed(Order::ValueAtRisk) => "recent value times risk (`value_at_risk`)",
            Self::Listed(Order::LifetimeValue) => "value (`lifetime_value`)",
            Self::Listed(Order::SaveUplift) => "uplift (`save_uplift`)",
            Self::Listed(Order::NetSaveValue) => "**nextbest** (`net_save_value`)",
            Self::Told => "told the truth of other shops, by features",
            Self::Oracle => "oracle",
        }
    }
}

/// What the first of one list saved, over all of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Saved {
    pub n_contacts: f64,
    /// By the law, after cost, in minor units.
    pub net_minor: f64,
    /// The same within the shorter horizon.
    pub soon_minor: f64,
    /// Lived once.
    pub lived_minor: f64,
    /// Contacted who bring less for it: what it saves is below 0.
    pub n_harmed: f64,
}

impl Saved {
    fn plus(self, one: &Candidate, weight: f64) -> Self {
        Self {
            n_contacts: self.n_contacts + weight,
            net_minor: self.net_minor + weight * (one.saved_minor - one.cost_minor),
            soon_minor: self.soon_minor + weight * (one.soon_minor - one.cost_minor),
            lived_minor: self.lived_minor + weight * (one.lived_minor - one.cost_minor),
            n_harmed: self.n_harmed + if one.saved_minor < 0.0 { weight } else { 0.0 },
        }
    }
}

/// By arm and budget, one number a seed.
pub struct Table(BTreeMap<(Arm, usize), Vec<Saved>>);

impl Table {
    pub fn of(rounds: &[Round]) -> Self {
        let mut table = BTreeMap::new();
        for (at, round) in rounds.iter().enumerate() {
            let told = told(rounds, at);
            for arm in Arm::ALL {
                let listed = listed(arm, &round.candidates, &told);
                for (budget, share) in BUDGETS.into_iter().enumerate() {
                    let k = ((round.n_active as f64 * share).round() as usize).min(listed.len());
                    let saved = if arm == Arm::Random {
                        let weight = k as f64 / listed.len() as f64;
                        listed.iter().fold(Saved::default(), |saved, one| saved.plus(one, weight))
                    } else {
                        listed[..k].iter().fold(Saved::default(), |saved, one| saved.plus(one, 1.0))
                    };
                    table.entry((arm, budget)).or_insert_with(Vec::new).push(saved);
                }
            }
        }
        Self(table)
    }

    pub fn seeds(&self, arm: Arm, budget: usize, of: impl Fn(&Saved) -> f64) -> Vec<f64> {
        self.0[&(arm, budget)].iter().map(of).collect()
    }
}

/// The candidates in the order of `arm`.
fn listed<'a>(arm: Arm, candidates: &'a [Candidate], told: &[f64]) -> Vec<&'a Candidate> {
    let mut places: Vec<usize> = (0..candidates.len()).collect();
    let row = |at: &usize| &candidates[*at];
    let first = |a: f64, b: f64| b.total_cmp(&a);
    match arm {
        Arm::Random => {}
        Arm::Listed(order) => places.sort_by(|a, b| order.compare()(&row(a).row, &row(b).row)),
        Arm::Told => places.sort_by(|a, b| first(told[*a], told[*b])),
        Arm::Oracle => places.sort_by(|a, b| {
            first(row(a).saved_minor - row(a).cost_minor, row(b).saved_minor - row(b).cost_minor)
        }),
    }
    places.into_iter().map(|at| &candidates[at]).collect()
}

/// What trees grown on the true savings of all rounds but `left_out` tell of its candidates.
fn told(rounds: &[Round], left_out: usize) -> Vec<f64> {
    let others: Vec<&Candidate> = (rounds.iter().enumerate())
        .filter(|(at, _)| *at != left_out)
        .flat_map(|(_, round)| &round.candidates)
        .collect();
    let asked: Vec<&Candidate> = rounds[left_out].candidates.iter().collect();
    if others.is_empty() || asked.is_empty() {
        return vec![0.0; asked.len()];
    }
    let targets: Vec<f32> = others.iter().map(|one| (one.saved_minor - one.cost_minor) as f32).collect();
    let parameters = TrainingParams::builder()
        .objective(Objective::SquaredError(RegLoss::default()))
        .tree_method(TreeMethod::Hist)
        .eta(0.05)
        .max_depth(5)
        .min_child_weight(30.0)
        .subsample(0.5)
        .colsample_bytree(0.7)
        .seed(7)
        .nthread(1)
        .build()
        .unwrap();
    let matrix = matrix(&others).with_labels(&targets).unwrap();
    let model = Trainer::new(&parameters, &matrix, 300).train().unwrap().model;
    let told = model.predict(&self::matrix(&asked), Iterations::Best).unwrap();
    (0..asked.len()).map(|row| f64::from(*told.get(row, 0).unwrap())).collect()
}

fn matrix(of: &[&Candidate]) -> DMatrix {
    let width = of.first().map_or(0, |one| one.features.len());
    let cells = of.iter().flat_map(|one| one.features.iter().map(|value| *value as f32)).collect();
    DMatrix::from_dense_vec(cells, of.len(), width).unwrap()
}
