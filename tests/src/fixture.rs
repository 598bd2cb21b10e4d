//! A small project with models sealed by hand, so that tests of the functions need no training.
//!
//! The models are linear with round coefficients: what they answer can be computed on paper.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nextbest_functions::app::App;
use nextbest_functions::auth::AuthMode;
use nextbest_functions::clock::Clock;
use nextbest_functions::config::{Config, DEFAULT_DEADLINE};
use nextbest_functions::keys::{Keys, NewKey, Role};
use nextbest_functions::snapshot::SAVE;
use nextbest_functions::store::Store;
use nextbest_models::artifact::{
    ArtifactBuilder, Metadata, ModelKind, ModelMetadata, PropensityParts, RealisedParts, SealedScorer,
    UpliftParts,
};
use nextbest_models::event::Event;
use nextbest_models::policy::response::{OfferCodes, ResponseSpec};
use nextbest_models::pricing::purchase::{PURCHASE, PriceBy, PurchaseLevels, ShowingTally};
use nextbest_models::pricing::{DemandLevel, DemandRecord, Elasticity, PurchaseSpec, demand};
use nextbest_models::project::Project;
use nextbest_models::propensity::Calibration;
use nextbest_models::propensity::interval::{Knot, ProbabilityInterval};
use nextbest_models::propensity::linear::{ColumnSpec, Transform};
use nextbest_models::units::{Seed, Timestamp};
use nextbest_models::uplift::{ANSWERED, UpliftCalibration};
use nextbest_models::value::realised::RealisedKnot;
use nextbest_models::value::{
    BgNbd, GammaGamma, Horizon, LifetimeModel, ParameterErrors, RealisedLine, TimeUnit,
};
use serde_json::{Value, json};

/// The project folder of the fixtures.
pub fn mini() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/mini")
}

/// The fixture project.
pub fn project() -> Project {
    Project::read(|file| std::fs::read_to_string(mini().join(file))).expect("the fixture is a good project")
}

/// The moment at which tests ask.
pub fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().expect("a good time")
}

/// Copies the project into `folder` and seals its models there.
pub fn install(folder: &Path) {
    std::fs::create_dir_all(folder.join("artifacts")).expect("a folder");
    for file in nextbest_models::project::FILES {
        std::fs::copy(mini().join(file), folder.join(file)).expect("a copy");
    }
    std::fs::write(folder.join("artifacts/mini.nba"), artifact(&project(), None)).expect("a file");
    std::fs::write(folder.join("artifacts/CURRENT"), "mini.nba\n").expect("a file");
}

/// The sealed models of `project`; under another schema fingerprint if one is given.
pub fn artifact(project: &Project, fingerprint: Option<&str>) -> Vec<u8> {
    models(project, fingerprint).seal().expect("a good artifact").as_bytes().to_vec()
}

/// The same with a lifetime-value model, and an uplift model of what contacts save: 5 points less churn for everybody, and a
/// point more for each order of the last 90 days.
pub fn saving_artifact(project: &Project) -> Vec<u8> {
    let mut builder = models(project, None);
    let mut parts = propensity(project, SAVE, -0.05, &[(0, 1.0, -0.01)]);
    parts.metadata.kind = ModelKind::Uplift;
    let line = UpliftCalibration::constant(0.0, 0.01, 2.0);
    builder.uplift(UpliftParts {
        metadata: parts.metadata,
        scorer: Some(parts.scorer),
        calibration: UpliftCalibration { slope: 1.0, range: (-1.0, 1.0), ..line },
        golden: Vec::new(),
    });
    let purchases = BgNbd::new(0.8, 10.0, 0.5, 3.0).expect("good parameters");
    let spend = GammaGamma::new(6.0, 4.0, 4_000.0).expect("good parameters");
    let horizon = Horizon::new(52, 0.0, 0.5).expect("a good horizon");
    let errors = ParameterErrors::new(diagonal(0.01), Some(diagonal(0.01))).expect("good covariances");
    let lifetime = LifetimeModel::new(TimeUnit::Week, purchases, Some(spend), horizon).with_errors(errors);
    builder.lifetime(described(project, "lifetime_value"), &lifetime, &[]);
    builder.seal().expect("a good artifact").as_bytes().to_vec()
}

/// The models with one of the response `accepted`, log-odds -2 and 0.3 more for each order of the last 90 days, and an uplift model that
/// rests on it: 2 points less churn on average, where a tenth answers and would leave.
pub fn answered_artifact(project: &Project) -> Vec<u8> {
    let mut builder = models(project, None);
    let mut parts = propensity(project, "accepted", -2.0, &[(0, 1.0, 0.3)]);
    let actions = project.policy.actions().filter(|action| action.propensity == "accepted");
    let codes = OfferCodes::new(actions.map(|action| action.id.clone()), project.policy.channels().cloned());
    let rule = project.settings.responses["accepted"].clone();
    parts.metadata.response = Some(ResponseSpec::new(rule, codes));
    builder.propensity(parts);
    let mut metadata = described(project, SAVE);
    (metadata.kind, metadata.learner) = (ModelKind::Uplift, ANSWERED.to_owned());
    let line = UpliftCalibration::constant(-0.02, 0.01, 2.0);
    builder.uplift(UpliftParts {
        metadata,
        scorer: None,
        calibration: UpliftCalibration { slope: 1.0, center: -0.1, range: (-0.5, 0.0), ..line },
        golden: Vec::new(),
    });
    builder.seal().expect("a good artifact").as_bytes().to_vec()
}

/// Covariances of parameters that go each by itself.
fn diagonal<const K: usize>(variance: f64) -> [[f64; K]; K] {
    std::array::from_fn(|row| std::array::from_fn(|column| if row == column { variance } else { 0.0 }))
}

/// The models with what customers brought alone: 1,000 minor units and 500 for each order of the last 90 days, an outcome between
/// nothing and 4,000, and twice as much by the horizon.
pub fn realised_artifact(project: &Project) -> Vec<u8> {
    let mut builder = models(project, None);
    let parts = propensity(project, "realised_value", 1.0, &[(0, 1.0, 0.5)]);
    let knots = [RealisedKnot { from: 0.0, lo: 0.0, hi: 4.0 }];
    builder.realised(RealisedParts {
        metadata: parts.metadata,
        scorer: parts.scorer,
        line: RealisedLine::new(0.9, 1_000.0, 2.0, &knots).expect("a good line"),
        golden: Vec::new(),
    });
    builder.seal().expect("a good artifact").as_bytes().to_vec()
}

fn models(project: &Project, fingerprint: Option<&str>) -> ArtifactBuilder {
    let metadata = Metadata {
        name: "mini".to_owned(),
        schema_fingerprint: fingerprint.unwrap_or(project.schema.fingerprint()).to_owned(),
        feature_names: project.schema.names().to_vec(),
        trained_through: "2026-02-01T00:00:00Z".parse().expect("a good time"),
        code_version: "0.1.0".to_owned(),
        seed: Seed(7),
        sources: BTreeMap::new(),
        table: None,
        models: Vec::new(),
    };
    let mut builder = ArtifactBuilder::new(metadata);
    // Log-odds of churn: -1 + recency / 30 days - orders. Of conversion: -1 + 0.1 views.
    builder.propensity(propensity(project, "churn", -1.0, &[(0, 1.0, -1.0), (2, 1.0 / 30.0, 1.0)]));
    builder.propensity(propensity(project, "conversion", -1.0, &[(3, 0.1, 1.0)]));
    // Of conversion alone: within a tenth and nine tenths at any margin from -9 on.
    let knots = [Knot { margin: -9.0, lo: 0.1, hi: 0.9 }, Knot { margin: 9.0, lo: 0.1, hi: 0.9 }];
    builder.interval(&ProbabilityInterval::new(0.9, &knots).expect("a good interval"));
    builder.propensity(purchase(project));
    let record = DemandRecord {
        level: DemandLevel::Sku,
        name: "MUG".to_owned(),
        category: Some("mugs".to_owned()),
        reference_price_minor: 1299,
        units_per_week: 40.0,
        elasticity: Some(Elasticity { value: -2.0, se: 0.2, lo: -2.4, hi: -1.6 }),
        own: Some((-2.1, 0.25)),
        purchase_probability: Some(0.05),
        n_weeks: 52,
        n_units: 2080,
        n_shown: 41600,
        flags: Vec::new(),
    };
    let average = DemandRecord {
        level: DemandLevel::Overall,
        name: String::new(),
        category: None,
        elasticity: Some(Elasticity { value: -1.8, se: 0.1, lo: -2.0, hi: -1.6 }),
        ..record.clone()
    };
    let records = demand::seal(vec![average, record]).expect("good records");
    builder.demand(described(project, "demand"), records);
    builder
}

fn propensity(
    project: &Project,
    name: &str,
    intercept: f64,
    columns: &[(usize, f64, f64)],
) -> PropensityParts {
    let columns = columns.iter().map(|&(feature, inverse_scale, coefficient)| {
        let transform = Transform::Value { fill: 0.0 };
        (ColumnSpec { feature, transform, mean: 0.0, inverse_scale }, coefficient)
    });
    let columns: Vec<_> = columns.collect();
    PropensityParts {
        metadata: described(project, name),
        scorer: SealedScorer::linear(intercept, &columns),
        companion: None,
        calibration: Calibration::Identity,
        golden: Vec::new(),
    }
}

/// Of a price shown: log-odds fall by 7 times its log ratio to the list price for who has not ordered lately, by 1 times
/// for who has ordered ten times.
fn purchase(project: &Project) -> PropensityParts {
    let rule = project.settings.purchases.clone().expect("the fixture learns purchases");
    let shown = ShowingTally { n_shown: 1000, n_bought: 50 };
    let spec = PurchaseSpec {
        rule,
        categories: vec!["mugs".to_owned()],
        price_by: vec![PriceBy { feature: 0, lo: 0.0, hi: 10.0 }],
        levels: PurchaseLevels::new(&BTreeMap::from([("MUG".to_owned(), (None, shown))])),
    };
    let first = project.schema.names().len();
    let [level, price, price_of_few_orders] = [first + 1, first + 3, first + 6];
    let columns = [(level, 1.0, 1.0), (price, 1.0, -1.0), (price_of_few_orders, 1.0, -6.0)];
    let mut parts = propensity(project, PURCHASE, 0.0, &columns);
    parts.metadata.purchase = Some(spec);
    parts
}

fn described(project: &Project, name: &str) -> ModelMetadata {
    ModelMetadata {
        name: name.to_owned(),
        kind: ModelKind::Propensity,
        learner: "by hand".to_owned(),
        label: project.settings.labels.get(name).cloned(),
        response: None,
        purchase: None,
        counts: BTreeMap::from([("n_train".to_owned(), 1000)]),
        metrics: BTreeMap::from([("auc".to_owned(), 0.75)]),
        notes: Vec::new(),
        sections: BTreeMap::new(),
    }
}

/// What signs quotes.
pub const QUOTE_KEYS: &str = "test:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// The functions' state over `store`, standing still at [`now`], and one key for every role.
pub fn app(folder: &Path, store: Store) -> (App, Vec<NewKey>) {
    let (config, shown) = config(folder, &store);
    (App::open(&config, store, Clock::fixed(now())).expect("the fixture opens"), shown)
}

/// The configuration of a server over `store`, and one key for every role.
pub fn config(folder: &Path, store: &Store) -> (Config, Vec<NewKey>) {
    let (keys, shown) = Keys::generate().expect("randomness");
    let config = Config {
        project: folder.to_owned(),
        artifact: None,
        table: store.table().to_owned(),
        auth: AuthMode::ApiKey,
        deadline: DEFAULT_DEADLINE,
        keys,
        quote_keys: QUOTE_KEYS.parse().expect("a key of 32 bytes"),
    };
    (config, shown)
}

/// The key of `role`.
pub fn key(keys: &[NewKey], role: Role) -> &str {
    &keys.iter().find(|key| key.role == role).expect("every role has one").secret
}

/// An order line as JSON: `order` of `customer`, `days` before [`now`], of `amount` minor units.
pub fn order_json(customer: &str, order: u32, days: i32, amount: i64) -> Value {
    json!({
        "event_id": format!("{customer}-order-{order}"),
        "type": "order_placed",
        "occurred_at": now().plus_days(-days),
        "customer_id": customer,
        "sku": "MUG",
        "quantity": 1,
        "value": { "amount_minor": amount, "currency": "GBP" },
        "attributes": { "order_id": format!("o{order}") },
    })
}

/// The same as an event.
pub fn order(customer: &str, order: u32, days: i32, amount: i64) -> Event {
    serde_json::from_value(order_json(customer, order, days, amount)).expect("a good event")
}
