//! Everyone is asked: by the one `decide`, what each campaign may offer them. Memory holds those who can still be chosen.

use nextbest_models::customer::CustomerId;
use nextbest_models::decision::{Name, Rejection};
use nextbest_models::policy::hopper::{Form, Shortlist, Shortlisted};
use nextbest_models::policy::{Question, Situation, decide};
use nextbest_models::units::Seed;

use super::limits::{Limits, Rooms};
use super::{Funnel, Progress};
use crate::decisions::hold::already_listed;
use crate::decisions::known::situation;
use crate::store::{StoreError, StoredCustomer};

const SEGMENTS: i32 = 4;
/// Kept beyond those that can be chosen, for those who fall meanwhile: a quarter of them, and so many.
const SPARE: usize = 64;

/// What a scan found.
pub(super) struct Scanned {
    pub(super) shortlist: Shortlisted<CustomerId>,
    /// By campaign.
    pub(super) funnels: Vec<Funnel>,
    /// By campaign: who may be contacted.
    pub(super) n_candidates: Vec<usize>,
    pub(super) n_asked: usize,
}

pub(super) async fn scan(
    limits: &Limits<'_>,
    rooms: &Rooms,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Scanned, StoreError> {
    let mut asking = Asking::new(limits, rooms);
    for segment in 0..SEGMENTS {
        let mut scan = limits.app.store.scan_customers(segment, SEGMENTS);
        while let Some(page) = scan.next(&limits.app.project.schema).await? {
            page.iter().for_each(|stored| asking.ask(stored));
            progress(Progress::Asked(asking.n_asked));
        }
    }
    let Asking { shortlist, funnels, n_candidates, n_asked, .. } = asking;
    Ok(Scanned { shortlist: shortlist.finish(), funnels, n_candidates, n_asked })
}

struct Asking<'a> {
    limits: &'a Limits<'a>,
    rooms: &'a Rooms,
    /// By campaign.
    questions: Vec<Question>,
    shortlist: Shortlist<CustomerId>,
    funnels: Vec<Funnel>,
    n_candidates: Vec<usize>,
    n_asked: usize,
}

impl<'a> Asking<'a> {
    fn new(limits: &'a Limits<'a>, rooms: &'a Rooms) -> Self {
        let questions: Vec<Question> =
            limits.policy().hopper().campaigns.iter().map(|campaign| campaign.question()).collect();
        let n_places = usize::try_from(limits.n_places(rooms)).unwrap_or(usize::MAX);
        let n_kept = if n_places == 0 { 0 } else { n_places + n_places / 4 + SPARE };
        Self {
            limits,
            rooms,
            shortlist: Shortlist::new(limits.forms.len(), n_kept),
            funnels: vec![Funnel::default(); questions.len()],
            n_candidates: vec![0; questions.len()],
            n_asked: 0,
            questions,
        }
    }

    /// Asks a customer for every campaign.
    fn ask(&mut self, stored: &StoredCustomer) {
        self.n_asked += 1;
        let now = self.limits.now;
        let asked = self.questions.iter().map(|question| Name::from(question.candidate_actions[0].as_str()));
        let listed: Vec<Rejection> = asked.filter_map(|action| already_listed(stored, action, now)).collect();
        if !listed.is_empty() {
            return self.funnels.iter_mut().zip(listed).for_each(|(funnel, fallen)| funnel.add(fallen));
        }
        // One candidate is left to exploration, so that the seed decides nothing.
        let mut situation = situation(self.limits.app, stored, true, now, Seed(0));
        situation.exhausted.extend(self.rooms.exhausted.clone());
        for campaign in 0..self.questions.len() {
            self.ask_for(campaign, stored, &situation);
        }
    }

    fn ask_for(&mut self, campaign: usize, stored: &StoredCustomer, situation: &Situation) {
        let question = &self.questions[campaign];
        let decision = decide(self.limits.policy(), situation, question);
        match decision.actions.first() {
            Some(action) => {
                self.n_candidates[campaign] += 1;
                let of = |form: &Form| form.campaign == campaign && form.treatment_id == action.treatment_id;
                if let Some(form) = self.limits.forms.iter().position(of) {
                    self.shortlist.add(form, action.priority, stored.customer.id().clone());
                }
            }
            None => {
                let asked = &question.candidate_actions[0];
                let fallen = decision.suppressed.into_iter().find(|one| *one.action_id == **asked);
                if let Some(fallen) = fallen {
                    self.funnels[campaign].add(fallen);
                }
            }
        }
    }
}
