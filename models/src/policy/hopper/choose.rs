//! The choice: greedy by worth, with a bound that holds for every instance and one that is computed from the instance.
//!
//! The problem is a packing integer program: `max sum w_e x_e` over entries e, each taking a whole amount of some limits,
//! each limit with a whole room, at most one entry a customer. It is NP-hard as soon as a cost budget is among the limits.

use std::cmp::Ordering;

use super::prices;

/// A contact that could be made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    /// The customer's place in the caller's list.
    pub customer: usize,
    /// The place of its kind in [`Instance::kinds`].
    pub kind: usize,
    /// What it is worth; entries that are worth nothing, or no number, are never chosen.
    pub worth: f64,
}

/// What is to be chosen from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Instance {
    /// What each limit leaves: contacts, or minor units.
    pub rooms: Vec<i64>,
    /// What a contact of each kind takes: places in `rooms`, each once, with amounts of at least 1.
    pub kinds: Vec<Vec<(usize, i64)>>,
    /// The contacts; at most one of each customer is chosen.
    pub entries: Vec<Entry>,
}

/// What was chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// Places in [`Instance::entries`], the largest worth first.
    pub chosen: Vec<usize>,
    /// Sum of their worth.
    pub worth: f64,
    /// What any other choice could be worth.
    pub bound: Bound,
}

/// How good a choice of an instance can be at most, and is at least.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// No choice whatever is worth more: the Lagrangian dual of this instance at the best prices found.
    pub upper: f64,
    /// What the way of choosing guarantees: this share of the optimum, 0 < share <= 1, before the dual is asked.
    pub guarantee: f64,
}

impl Bound {
    /// The share of the optimum, 0 ..= 1, that a choice of this worth is proven to reach by the upper bound.
    #[must_use]
    pub fn proven_share(&self, worth: f64) -> f64 {
        if self.upper > 0.0 { (worth / self.upper).clamp(0.0, 1.0) } else { 1.0 }
    }
}

impl Default for Bound {
    /// Of the choice from nothing.
    fn default() -> Self {
        Self { upper: 0.0, guarantee: 1.0 }
    }
}

/// Chooses: greedily by worth, and once more by worth less what the dual's prices ask for the limits; the better of the
/// two. Ties go by place, so that the same instance gives the same choice.
///
/// **Guarantee.** Let a limit *bind* if not all entries fit into it together, and a customer if they have more than one
/// entry. For a binding limit `r` let `a` and `A` be the smallest and the largest amount that an entry takes of it, and
/// `rho_r = floor((2A - 1) / a)`, which is 1 where all take the same (contacts, or one price); for a binding customer 1.
/// With `K` the largest sum of `rho` over what one entry takes of, the greedy choice G and the optimum O satisfy
/// `w(G) >= w(O) / max(1, K)`.
///
/// *Proof.* An entry o of O \ G was refused by a limit r(o) that the entries before it in G, each worth at least `w(o)`,
/// had filled too far. Take the `t` entries of O \ G that r refused, the first of them o*, and let `b'` be the room of r
/// less what O and G both take of it. The `t` fit into `b'`, so `t <= floor(b' / a)`. Those in G \ O before o* take at least
/// `b' + 1 - a(o*)` of r, so there are `n >= max(1, floor(b' / A))` of them; and `t / n <= rho_r` (write
/// `q = floor(b' / A)`, so that `b' <= (q + 1) A - 1`). All `t` are worth at most what each of the `n` is worth, hence
/// together at most `rho_r` times the worth of G \ O in r. Summed over limits, each entry of G \ O pays for those it
/// takes of: `w(O \ G) <= K w(G \ O)`, and the rest of O is in G.
///
/// Where all amounts of a limit are equal, the choices are a k-extendible system and this is the bound 1/k of Mestre 2006
/// ("Greedy in approximation algorithms"), after Jenkyns 1976 and Korte and Hausmann 1978 for intersections of k matroids.
/// With a customer's one contact and a campaign's capacity it says one half. It misleads where one budget pays for letters
/// and calls alike: then `rho` is large and the upper bound is what to look at.
#[must_use]
pub fn choose(instance: &Instance) -> Choice {
    let open: Vec<usize> = (0..instance.entries.len()).filter(|&at| instance.fits_alone(at)).collect();
    let by_worth = instance.greedy(&open, |at| instance.entries[at].worth);
    let dual = prices::dual(instance, &open, instance.worth(&by_worth));
    let asked: Vec<f64> = instance.kinds.iter().map(|kind| prices::price(&dual.prices, kind)).collect();
    let by_price = instance.greedy(&open, |at| instance.entries[at].worth - asked[instance.entries[at].kind]);
    let better = instance.worth(&by_price) > instance.worth(&by_worth);
    let mut chosen = if better { by_price } else { by_worth };
    chosen.sort_by(|&a, &b| instance.entries[b].worth.total_cmp(&instance.entries[a].worth).then(a.cmp(&b)));
    Choice {
        worth: instance.worth(&chosen),
        bound: Bound { upper: dual.value, guarantee: instance.guarantee(&open) },
        chosen,
    }
}

impl Instance {
    fn fits_alone(&self, at: usize) -> bool {
        let entry = &self.entries[at];
        let worth_it = entry.worth.is_finite() && entry.worth > 0.0;
        worth_it && self.kinds[entry.kind].iter().all(|&(limit, amount)| amount <= self.rooms[limit])
    }

    fn worth(&self, chosen: &[usize]) -> f64 {
        chosen.iter().fold(0.0, |sum, &at| sum + self.entries[at].worth)
    }

    /// One more than the largest place of a customer.
    pub(super) fn n_customers(&self) -> usize {
        self.entries.iter().map(|entry| entry.customer + 1).max().unwrap_or(0)
    }

    /// Takes entries of `open` by falling `key` as long as they fit.
    fn greedy(&self, open: &[usize], key: impl Fn(usize) -> f64) -> Vec<usize> {
        let mut order: Vec<(f64, usize)> = open.iter().map(|&at| (key(at), at)).collect();
        let falling = |a: &(f64, usize), b: &(f64, usize)| -> Ordering {
            let worth = |at: usize| self.entries[at].worth;
            b.0.total_cmp(&a.0).then_with(|| worth(b.1).total_cmp(&worth(a.1))).then(a.1.cmp(&b.1))
        };
        order.sort_unstable_by(falling);
        let (mut rooms, mut taken) = (self.rooms.clone(), vec![false; self.n_customers()]);
        let mut chosen = Vec::new();
        for (_, at) in order {
            let entry = &self.entries[at];
            let takes = &self.kinds[entry.kind];
            if !taken[entry.customer] && takes.iter().all(|&(limit, amount)| amount <= rooms[limit]) {
                takes.iter().for_each(|&(limit, amount)| rooms[limit] -= amount);
                taken[entry.customer] = true;
                chosen.push(at);
            }
        }
        chosen
    }

    /// 1 / max(1, K) of [`choose`].
    fn guarantee(&self, open: &[usize]) -> f64 {
        let stretch: Vec<f64> = (0..self.rooms.len()).map(|limit| self.stretch(open, limit)).collect();
        let mut n_of = vec![0_u32; self.n_customers()];
        open.iter().for_each(|&at| n_of[self.entries[at].customer] += 1);
        let sum = |&at: &usize| {
            let entry = &self.entries[at];
            let shared: f64 = self.kinds[entry.kind].iter().map(|&(limit, _)| stretch[limit]).sum();
            shared + if n_of[entry.customer] > 1 { 1.0 } else { 0.0 }
        };
        1.0 / open.iter().map(sum).fold(1.0, f64::max)
    }

    /// rho of a limit; 0 where it does not bind.
    #[expect(clippy::cast_precision_loss, reason = "amounts in minor units stay far below 2^53")]
    fn stretch(&self, open: &[usize], limit: usize) -> f64 {
        let amount = |at: &usize| {
            let takes = &self.kinds[self.entries[*at].kind];
            takes.iter().find(|(of, _)| *of == limit).map(|&(_, amount)| amount)
        };
        let (mut least, mut most, mut sum) = (i64::MAX, 0, 0_i64);
        for amount in open.iter().filter_map(amount) {
            (least, most, sum) = (least.min(amount), most.max(amount), sum.saturating_add(amount));
        }
        if sum <= self.rooms[limit] { 0.0 } else { (most.saturating_mul(2) - 1).div_euclid(least) as f64 }
    }
}
