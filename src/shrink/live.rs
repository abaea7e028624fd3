//! The live side: a ladder of candidates, the simplest first, until one fails; where the model was too bold, a search
//! for the steps that it thinks harmless; and the confirmation on fresh entities.

use super::counterexample::{Counterexample, Standing};
use super::reduce::{Candidate, Goal, Keep, Reducer, renumber};
use super::replay::{Search, Shown};
use super::simplify::only_leaves_out;
use crate::check::{Dispute, Finding, Violation};
use crate::generate::Plan;
use crate::run::{PlanRun, Runner};

/// How much shrinking may cost.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Runs of plans in all.
    pub replays: u32,
    /// How often the final plan must fail.
    pub confirmations: u32,
    /// Runs of a plan that never fails again, before it is given up.
    pub futile: u32,
    /// How often a plan with a race is run for it to fail.
    pub tries: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            replays: 100,
            confirmations: 2,
            futile: 10,
            tries: 6,
        }
    }
}

/// A failure that turns out to lie earlier is boiled down anew, this often at most.
const CUTS: usize = 6;
/// So often the shortest race is run, to tell how often it fails.
const MEASURED: u32 = 10;
/// How many of the steps that are closest to the failing one are suspected first, and how that number grows.
const SUSPECTS: usize = 2;
const GROWTH: usize = 4;
/// Where it takes several of them, so many others are tried alone.
const ALONE: usize = 12;

/// Boils a failure down.
///
/// `plan` is the plan in which it was found, `run` the run that showed it, `violation` what was found.
pub async fn shrink(
    runner: &Runner,
    plan: &Plan,
    run: &PlanRun,
    violation: &Violation,
    bounds: Bounds,
) -> Counterexample {
    let model = runner.model().clone();
    let cut = plan.all().position(|s| s.id == violation.step);
    let found = Candidate {
        steps: plan
            .all()
            .take(cut.map_or(plan.len(), |p| p + 1))
            .cloned()
            .collect(),
        entity: violation.entity,
    };
    let mut found = found;
    let mut bounds = bounds;
    if found.has_races() {
        bounds.replays *= bounds.tries;
        if let Finding::NoOrder(Dispute { core, .. }) = &violation.finding
            && let Some(last) = core.last()
        {
            found = found.ending_with(*last);
        }
    }
    let mut search = Search::new(runner, violation.id.clone(), bounds);
    let reducer = Reducer::new(&model, runner.start()).told(violation.step, &violation.predicted);
    // A rehearsal knows only of entities that it can foresee.
    let mut known = Candidate {
        entity: found.entity.filter(|e| {
            let deeds = reducer.deeds(&found.steps);
            deeds.is_some_and(|(_, mirror)| mirror.get(*e).is_some())
        }),
        ..reducer.applicable(&found)
    };
    if known.steps.last() == found.steps.last() {
        let mut late = violation.at_end;
        for _ in 0..CUTS {
            let before = known.steps.len();
            search.boil(&reducer, &known, late).await;
            late = false;
            match search.earlier.take() {
                // It failed before its last step, so what follows is no part of it.
                Some(earlier) if earlier.steps.len() < before => known = earlier,
                _ => break,
            }
        }
        search.without_faults(&reducer).await;
        search.fewer_rivals(&reducer).await;
    } else {
        search.fails(&found).await;
    }
    finish(search, plan, run, violation, &found).await
}

impl Search<'_> {
    /// One way down, from a candidate whose last step is thought to fail. Ends early where it fails before that, with
    /// the candidate up to there as `earlier`.
    async fn boil(&mut self, reducer: &Reducer<'_>, found: &Candidate, late: bool) {
        let (Some(loose), Some(strict)) = (reducer.goal(found, false), reducer.goal(found, true))
        else {
            return;
        };
        // What is seen only at the end, or after a step that changes nothing, was done by an earlier step.
        let idle = self.watches() && reducer.is_idle(found);
        if late || idle {
            self.fails(found).await;
            if self.earlier.is_some() {
                return;
            }
        }
        // What ran at once before the end mostly does not matter, and makes the rest a matter of luck.
        let calm = found.clone().calm_before_the_last();
        let found = match calm != *found && self.fails(&calm).await {
            true => &calm,
            false => found,
        };
        if self.earlier.is_some()
            || !found.last_race().is_empty() && self.races(reducer, found, &loose, &strict).await
        {
            return;
        }
        let shortest = reducer.shorten(found, &loose);
        let effective = reducer.shorten(found, &strict);
        // What an answer lacks is what the step creates, so a step that creates nothing shows nothing.
        let first = if self.lacks_something() { 2 } else { 0 };
        for rung in first..4 {
            let candidate = match rung {
                0 => reducer.canonical(&shortest, &loose, Keep::Outcomes, true),
                1 => reducer.canonical(&shortest, &loose, Keep::Effects, true),
                2 => reducer.canonical(&effective, &strict, Keep::Last, true),
                _ => reducer.canonical(&effective, &strict, Keep::Effects, true),
            };
            if self.fails(&candidate).await {
                if rung > first {
                    // What the looser goal admits was dropped on the first two rungs already.
                    self.tidy(reducer, &loose, rung >= 2 && first == 0).await;
                }
                return;
            }
        }
        // The model was too bold: what the failure needs is not what the prediction needs. Most likely that is something
        // that was done to what the failing step is about.
        let about = reducer.about(found, &effective);
        if !about.is_empty()
            && let Some(candidate) = reducer.shortened_with(&strict, found, &about)
            && self.fails(&candidate).await
        {
            self.blame(reducer, &strict, found, about).await;
            self.strip(reducer).await;
            return;
        }
        let mut whole = found.clone();
        if !self.fails(&whole).await {
            if let Some(cleaned) = self.cleaned.take() {
                // Other failures of the same plan are in the way.
                whole = reducer.applicable(&cleaned);
            }
            let same_end = whole.steps.last().map(|s| s.id) == found.steps.last().map(|s| s.id);
            if !same_end || !self.fails(&whole).await {
                self.all_reads = true;
                if !self.fails(&whole).await {
                    self.all_reads = false;
                    return;
                }
            }
        }
        if self.earlier.is_none() {
            self.suspect(reducer, &strict, &effective, &whole).await;
        }
        self.strip(reducer).await;
    }

    /// The way down of what runs at once at the end: as a sequence if that fails, too, and otherwise with what runs against
    /// each other, and as little else as that needs.
    async fn races(
        &mut self,
        reducer: &Reducer<'_>,
        found: &Candidate,
        loose: &Goal,
        strict: &Goal,
    ) -> bool {
        let sequence = found.clone().in_sequence();
        for goal in [loose, strict] {
            let shortest = reducer.shorten(&sequence, goal);
            let simplest = reducer.canonical(&shortest, goal, Keep::Effects, true);
            if self.fails(&simplest).await {
                self.tidy(reducer, loose, false).await;
                return true;
            }
        }
        let rivals: Vec<u32> = found.last_race().iter().map(|s| s.id).collect();
        let Some(kept) = reducer.shortened_with(loose, found, &rivals) else {
            return false;
        };
        let simpler = reducer.canonical(&kept, loose, Keep::Effects, true);
        if !self.fails(&simpler).await && !self.fails(&kept).await {
            return false;
        }
        // Which of the others it takes.
        for id in rivals.iter().rev() {
            let Some(best) = self.best() else { return true };
            let mut fewer = best.clone();
            fewer.steps.retain(|s| s.id != *id);
            if fewer.steps.last() != best.steps.last() || fewer.steps.len() == best.steps.len() {
                continue;
            }
            let fewer = reducer.applicable(&fewer);
            let left: Vec<u32> = fewer.last_race().iter().map(|s| s.id).collect();
            let Some(goal) = reducer.goal(&fewer, false) else {
                continue;
            };
            if let Some(kept) = reducer.shortened_with(&goal, &fewer, &left) {
                self.fails(&kept).await;
            }
        }
        // Who waits for whom.
        let Some(best) = self.best() else { return true };
        for step in best.last_race().iter().skip(1) {
            let Some(mut narrower) = self.best() else {
                return true;
            };
            let before = best
                .last_race()
                .iter()
                .take_while(|s| s.id != step.id)
                .last();
            let Some(lane) = before.and_then(|s| s.lane) else {
                continue;
            };
            for other in narrower.steps.iter_mut().filter(|s| s.id == step.id) {
                other.lane = Some(lane);
            }
            if narrower.clone().normal().last_race().len() == best.last_race().len() {
                self.fails(&narrower).await;
            }
        }
        self.strip(reducer).await;
        true
    }

    /// Has one principal run against himself, where it takes no two.
    async fn fewer_rivals(&mut self, reducer: &Reducer<'_>) {
        let Some(best) = self.best().filter(|best| !best.last_race().is_empty()) else {
            return;
        };
        if let Some(goal) = reducer.goal(&best, false) {
            let fewer = reducer.fewer_entities(&best, &goal);
            if fewer.last_race().len() == best.last_race().len() {
                self.fails(&fewer).await;
            }
        }
        self.drop_singly(reducer, None).await;
    }

    /// Drops what a failure does not need of which the model knows too little, and simplifies what is left.
    async fn strip(&mut self, reducer: &Reducer<'_>) {
        self.drop_singly(reducer, None).await;
        if let (Some(best), None) = (self.best(), &self.earlier)
            && let Some(goal) = reducer.goal(&best, false)
        {
            self.polish(reducer, &goal).await;
        }
    }

    /// Drops what a looser goal admits to be dropped, and simplifies what is left.
    async fn tidy(&mut self, reducer: &Reducer<'_>, loose: &Goal, looser: bool) {
        if looser {
            self.drop_singly(reducer, Some(loose)).await;
        }
        if self.earlier.is_none() {
            self.polish(reducer, loose).await;
        }
    }

    /// Looks for the steps that the model thinks harmless and the failure needs, those closest to the failing one first:
    /// a growing number of suspects until it fails with them.
    async fn suspect(
        &mut self,
        reducer: &Reducer<'_>,
        goal: &Goal,
        passing: &Candidate,
        failing: &Candidate,
    ) {
        let kinship = reducer.kinship(failing);
        let needed: Vec<u32> = passing.steps.iter().map(|s| s.id).collect();
        let mut suspects: Vec<u32> = failing
            .steps
            .iter()
            .map(|s| s.id)
            .filter(|id| !needed.contains(id))
            .collect();
        suspects.sort_by_key(|id| {
            (
                std::cmp::Reverse(kinship.get(id).copied()),
                std::cmp::Reverse(*id),
            )
        });
        let mut count = SUSPECTS;
        while count < suspects.len() {
            if let Some(candidate) = reducer.shortened_with(goal, failing, &suspects[..count])
                && self.fails(&candidate).await
            {
                break;
            }
            count *= GROWTH;
        }
        let first = suspects[..count.min(suspects.len())].to_vec();
        let guilty = self.blame(reducer, goal, failing, first).await;
        // Another step may do by itself what takes several of these.
        let others = suspects.iter().filter(|id| !guilty.contains(id));
        for other in others.take(if guilty.len() > 1 { ALONE } else { 0 }) {
            if self.earlier.is_none()
                && let Some(candidate) = reducer.shortened_with(goal, failing, &[*other])
                && (self.best()).is_some_and(|best| candidate.steps.len() < best.steps.len())
                && self.fails(&candidate).await
            {
                return;
            }
        }
    }

    /// Finds out which of some steps the failure needs, and keeps the candidate with these: delta debugging (Zeller and
    /// Hildebrandt, 2002).
    async fn blame(
        &mut self,
        reducer: &Reducer<'_>,
        goal: &Goal,
        failing: &Candidate,
        mut guilty: Vec<u32>,
    ) -> Vec<u32> {
        let mut chunk = guilty.len().div_ceil(2);
        while self.earlier.is_none() && chunk > 0 {
            let mut end = guilty.len();
            while end > 0 && self.earlier.is_none() {
                let begin = end.saturating_sub(chunk);
                let mut fewer = guilty.clone();
                fewer.drain(begin..end);
                if let Some(candidate) = reducer.shortened_with(goal, failing, &fewer)
                    && self.fails(&candidate).await
                {
                    guilty = fewer;
                }
                end = begin.min(guilty.len());
            }
            chunk /= 2;
        }
        guilty
    }

    /// Simplifies the best candidate as far as it still fails.
    async fn polish(&mut self, reducer: &Reducer<'_>, goal: &Goal) {
        for keep in [Keep::Effects, Keep::Last] {
            let Some(best) = self.best() else { return };
            let canonical = reducer.canonical(&best, goal, keep, false);
            if self.fails(&canonical).await && keep == Keep::Last || self.earlier.is_some() {
                return;
            }
        }
        // Which choices matter is not for the model to say. What is only left out goes at once, if it can; then one step
        // after the other.
        let Some(best) = self.best() else { return };
        let simpler = reducer.simpler_arguments(&best, Keep::Last);
        let mut barer = best.clone();
        for (step, simple) in barer.steps.iter_mut().zip(&simpler.steps) {
            if only_leaves_out(&step.action.args, &simple.action.args) {
                step.action = simple.action.clone();
            }
        }
        let barer = barer.synced();
        if barer != best
            && reducer.admits(&barer, goal)
            && self.fails(&barer).await
            && self.earlier.is_some()
        {
            return;
        }
        for (index, simple) in simpler.steps.iter().enumerate() {
            let Some(mut candidate) = self.best() else {
                return;
            };
            if candidate.steps.len() != simpler.steps.len() || candidate.steps[index] == *simple {
                continue;
            }
            candidate.steps[index].action = simple.action.clone();
            let candidate = candidate.synced();
            if reducer.admits(&candidate, goal)
                && self.fails(&candidate).await
                && self.earlier.is_some()
            {
                return;
            }
        }
        let Some(best) = self.best() else { return };
        let canonical = reducer.canonical(&best, goal, Keep::Effects, false);
        self.fails(&canonical).await;
    }

    /// Delivers as clients do what need not be delivered otherwise. What was sent again is then sent anew: with values of
    /// its own where they must be unique. What nobody waited for is answered and sent again, if that fails as well.
    async fn without_faults(&mut self, reducer: &Reducer<'_>) {
        let ids: Vec<u32> = match self.best() {
            Some(best) => best.faults().map(|step| step.id).collect(),
            None => return,
        };
        let mut simpler = false;
        for id in &ids {
            let Some(mut candidate) = self.best() else {
                return;
            };
            let Some(goal) = reducer.goal(&candidate, false) else {
                return;
            };
            let calmer = candidate.on_the_same_connection(*id);
            let plain = candidate.plain(*id);
            candidate = reducer.canonical(&plain, &goal, Keep::Effects, false);
            for candidate in [candidate, plain].into_iter().chain(calmer) {
                if reducer.admits(&candidate, &goal) && self.fails(&candidate).await {
                    simpler = true;
                    break;
                }
            }
        }
        let mut answered = false;
        for id in ids {
            let Some(best) = self.best() else { return };
            for candidate in best.answered(id) {
                if reducer.applicable(&candidate) == candidate && self.fails(&candidate).await {
                    // That may have been earlier than at the last step, which is none of it then.
                    self.earlier = None;
                    answered = true;
                    break;
                }
            }
        }
        if answered {
            self.first_to_show().await;
        }
        // What a fault needed may not be needed without it.
        if let (true, Some(best)) = (simpler || answered, self.best())
            && let Some(goal) = reducer.goal(&best, false)
        {
            self.drop_singly(reducer, Some(&goal)).await;
        }
    }

    /// Confirms that every step of the best candidate is needed. What others build on can go only with them. Without a goal
    /// it is no matter what is predicted of the last step then.
    async fn drop_singly(&mut self, reducer: &Reducer<'_>, goal: Option<&Goal>) {
        'again: while let (Some(best), None) = (self.best(), &self.earlier) {
            // Where the last step runs against others, who comes first is not known, and it can go as they can.
            let last = best.steps.last();
            let kept = last.filter(|_| best.last_race().is_empty());
            for index in (0..best.steps.len()).rev() {
                let candidate = reducer.without(&best, index);
                if kept.is_some() && candidate.steps.last() != kept {
                    continue;
                }
                let own = match goal {
                    Some(_) => None,
                    None => reducer.goal(&candidate, false),
                };
                if let Some(goal) = goal.or(own.as_ref())
                    && reducer.admits(&candidate, goal)
                    && self.fails(&candidate).await
                {
                    if kept.is_none() {
                        // That may have been earlier than at the last step, which is none of it then.
                        self.earlier = None;
                    }
                    continue 'again;
                }
            }
            return;
        }
    }
}

/// Confirms the result on fresh entities, and puts it together.
async fn finish(
    mut search: Search<'_>,
    plan: &Plan,
    run: &PlanRun,
    violation: &Violation,
    found: &Candidate,
) -> Counterexample {
    let (minimal, was_best) = match search.best() {
        Some(best) => (best, true),
        None => (found.clone(), false),
    };
    let found_in = found.steps.len();
    let numbered = renumber(&minimal);
    // The run that found it to fail counts as one.
    let mut standing = Standing {
        failed: u32::from(was_best),
        runs: u32::from(was_best),
    };
    let mut shown = None;
    let wanted = match was_best {
        // How often it fails is worth knowing where that is a matter of luck.
        true if !numbered.last_race().is_empty() => search.bounds.confirmations.max(MEASURED),
        true => search.bounds.confirmations,
        false => search.bounds.futile.saturating_sub(search.replays).max(1),
    };
    let mut extra = 0;
    while standing.runs < wanted + extra {
        standing.runs += 1;
        match search.run(&numbered).await {
            Shown::Failure(failure) => {
                standing.failed += 1;
                shown = Some(failure);
            }
            // It does not fail every time: more runs tell how often.
            Shown::Nothing | Shown::Inconclusive(_) | Shown::Broken(_)
                if was_best && extra == 0 && wanted < MEASURED =>
            {
                extra = 8;
            }
            _ => {}
        }
        if shown.is_some() && !was_best && extra == 0 {
            extra = 4;
        }
    }
    if !was_best {
        standing.runs = search.replays;
    }
    let total = search.requests;
    match shown {
        Some(shown) => {
            let (run, found) = *shown;
            Counterexample {
                violation: found,
                plan: Plan {
                    seed: plan.seed,
                    setup: Vec::new(),
                    steps: numbered.steps,
                },
                history: run.history,
                mirror: run.mirror,
                jars: run.jars,
                mark: run.mark,
                standing,
                also: Vec::new(),
                log: run.log,
                seed: Some(plan.seed),
                found_in,
                replays: search.replays,
                requests: total,
            }
        }
        // It was seen once and never again: shown as it was then.
        None => {
            let (run, violation) = match search.shown.take().filter(|_| was_best) {
                Some(shown) => *shown,
                None => (run.clone(), violation.clone()),
            };
            Counterexample {
                violation,
                plan: Plan {
                    seed: plan.seed,
                    setup: Vec::new(),
                    steps: minimal.steps,
                },
                history: run.history,
                mirror: run.mirror,
                jars: run.jars,
                mark: run.mark,
                standing,
                also: Vec::new(),
                log: run.log,
                seed: Some(plan.seed),
                found_in,
                replays: search.replays,
                requests: total,
            }
        }
    }
}
