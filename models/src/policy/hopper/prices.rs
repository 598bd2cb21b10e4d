//! Prices of the limits: the Lagrangian dual, an upper bound of what any choice is worth.
//!
//! With a price `p_r >= 0` on each limit, `L(p) = sum_r p_r b_r + sum_customers max(0, max_e (w_e - sum_r p_r a_re))` is at
//! least the optimum, whatever the prices: a choice pays for at most what there is, and each customer has at most one
//! entry. `L` is convex; its least value equals that of the linear relaxation (Geoffrion 1974). It is sought by
//! subgradients with the step of Polyak 1969 towards the worth of a choice at hand.

use super::choose::Instance;

/// The best prices found, and what they prove.
pub(super) struct Dual {
    /// By limit, per unit of its amounts.
    pub(super) prices: Vec<f64>,
    /// An upper bound of the optimum, rounded up.
    pub(super) value: f64,
}

const N_STEPS: u32 = 400;
/// Steps without a better bound until steps become half as long.
const PATIENCE: u32 = 12;
/// A gap of this share of the bound is closed.
const CLOSED: f64 = 1e-9;

/// What a contact of a kind pays at these prices.
pub(super) fn price(prices: &[f64], kind: &[(usize, i64)]) -> f64 {
    kind.iter().map(|&(limit, amount)| prices[limit] * real(amount)).sum()
}

/// The dual of the `open` entries of `instance`, of which a choice worth `known` is at hand.
pub(super) fn dual(instance: &Instance, open: &[usize], known: f64) -> Dual {
    let mut descent = Descent::new(instance, open);
    let (mut step, mut idle) = (1.0, 0);
    let mut at = vec![0.0; instance.rooms.len()];
    let mut best = Dual { prices: at.clone(), value: f64::INFINITY };
    for _ in 0..N_STEPS {
        let value = descent.value(&at);
        if value < best.value {
            (best.value, idle) = (value, 0);
            best.prices.clone_from(&at);
        } else {
            idle += 1;
        }
        if best.value - known <= CLOSED * best.value {
            break;
        }
        if idle == PATIENCE {
            (step, idle) = (step / 2.0, 0);
            at.clone_from(&best.prices);
            descent.value(&at);
        }
        if !descent.step(&mut at, step, known) {
            break;
        }
    }
    // Each customer's part is off by a few roundings of its worth, and no worth of an open entry is above the bound.
    let n_terms = open.len() + instance.rooms.len();
    let n_roundings = n_terms * (4 + instance.kinds.iter().map(Vec::len).max().unwrap_or(0));
    best.value *= 1.0 + n_roundings as f64 * f64::EPSILON;
    best
}

/// Where the descent stands.
struct Descent<'a> {
    instance: &'a Instance,
    /// Entries, each customer's together.
    by_customer: Vec<usize>,
    /// Value and subgradient at the prices asked last; the gradient in units of each limit's room.
    value: f64,
    gradient: Vec<f64>,
}

impl<'a> Descent<'a> {
    fn new(instance: &'a Instance, open: &[usize]) -> Self {
        let mut by_customer = open.to_vec();
        by_customer.sort_by_key(|&at| instance.entries[at].customer);
        Self { instance, by_customer, value: 0.0, gradient: Vec::new() }
    }

    /// L at these prices.
    fn value(&mut self, prices: &[f64]) -> f64 {
        let Self { instance, by_customer, .. } = self;
        let asked: Vec<f64> = instance.kinds.iter().map(|kind| price(prices, kind)).collect();
        let mut n_best = vec![0_i64; instance.kinds.len()];
        let mut sum = 0.0;
        for entries in
            by_customer.chunk_by(|&a, &b| instance.entries[a].customer == instance.entries[b].customer)
        {
            let left = |at: &usize| (instance.entries[*at].worth - asked[instance.entries[*at].kind], *at);
            let best = entries.iter().map(left).max_by(|a, b| a.0.total_cmp(&b.0));
            if let Some((left, at)) = best.filter(|(left, _)| *left > 0.0) {
                sum += left;
                n_best[instance.entries[at].kind] += 1;
            }
        }
        let mut free = instance.rooms.clone();
        for (kind, n) in instance.kinds.iter().zip(&n_best) {
            kind.iter().for_each(|&(limit, amount)| free[limit] -= amount * n);
        }
        self.gradient =
            free.iter().zip(&instance.rooms).map(|(&free, &room)| real(free) / unit(room)).collect();
        let rooms: f64 =
            prices.iter().zip(&instance.rooms).map(|(price, &room)| price * real(room.max(0))).sum();
        self.value = rooms + sum;
        self.value
    }

    /// One step down from `prices`, where the value was asked last; false where there is no way down.
    fn step(&self, prices: &mut [f64], share: f64, known: f64) -> bool {
        let blocked = |price: f64, slope: f64| price <= 0.0 && slope > 0.0;
        let open = prices.iter().zip(&self.gradient).filter(|(price, slope)| !blocked(**price, **slope));
        let norm: f64 = open.map(|(_, slope)| slope * slope).sum();
        if norm <= 0.0 {
            return false;
        }
        let length = share * (self.value - known).max(0.0) / norm;
        for ((price, slope), &room) in prices.iter_mut().zip(&self.gradient).zip(&self.instance.rooms) {
            *price = (*price - length * slope / unit(room)).max(0.0);
        }
        true
    }
}

/// The unit in which a limit's price is moved: its room, so that limits of 10 contacts and of 10,000 pounds are alike.
fn unit(room: i64) -> f64 {
    real(room.max(1))
}

#[expect(clippy::cast_precision_loss, reason = "amounts in minor units stay far below 2^53")]
const fn real(amount: i64) -> f64 {
    amount as f64
}
