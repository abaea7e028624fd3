//! What principals keep of the answers to them: the cookies that the server sets, and tokens.

use super::Run;
use crate::check::Due;
use crate::drive::Jars;
use crate::drive::history::{Request, Response};
use crate::generate::Step;
use crate::model::action::{Action, Actor};
use crate::model::value::Handle;

impl Run<'_> {
    /// Notes what a step is about to be sent with, if another one sends the same again.
    pub(super) fn remember(&mut self, step: &Step) {
        let resent = |other: &Step| other.delivery.again() == Some(step.id);
        if self.runner.model.keeps_anything() && self.plan.all().any(resent) {
            self.sent_with.insert(step.id, self.jars.clone());
        }
    }

    /// The jars that a step is sent with: what is sent again is what it was before, whatever the server has set since.
    pub(super) fn jars_of(&self, step: &Step) -> &Jars {
        let first = step.delivery.again();
        let then = first.and_then(|of| self.sent_with.get(&of));
        then.unwrap_or(&self.jars)
    }

    /// Has a principal keep what the answer to a step sets: him who asked, or, where he keeps nothing, whoever came into
    /// being by it.
    pub(super) fn keep(&mut self, step: &Step, action: &Action, response: &Response, event: usize) {
        let model = self.runner.model.clone();
        if !model.keeps_anything() {
            return;
        }
        let of = match action.actor {
            Actor::Entity(asks) | Actor::Other(asks) if model.keeps(asks.kind) => vec![asks],
            Actor::Nobody | Actor::Forged(..) => return,
            Actor::Entity(_) | Actor::Other(_) | Actor::Anyone => self.made_by(step),
        };
        for principal in of {
            self.keep_for(principal, Some(step.id), response, event);
        }
    }

    /// Has a principal keep what an answer sets. Who is gone has what he had then.
    pub(super) fn keep_for(
        &mut self,
        whose: Handle,
        step: Option<u32>,
        response: &Response,
        event: usize,
    ) {
        let live = self.judge.mirrors().all(|mirror| mirror.is_live(whose));
        if live && self.runner.model.keeps(whose.kind) {
            let event = self.history.events.get(event);
            let path = event.map_or("/", |event| event.exchange.request.path.as_str());
            let model = &self.runner.model;
            let known = self.jars.told().len();
            self.jars.learn(model, whose, step, path, response);
            for told in &self.jars.told()[known..] {
                if told.cookie.is_some() {
                    self.judge.guard_kept(whose, &told.what, &told.value);
                }
            }
        }
    }

    /// A read as it is asked now, where somebody asks it who keeps what answers set.
    pub(super) fn as_of_now(&self, due: &Due) -> Option<Request> {
        let model = &self.runner.model;
        if !model.keeps_anything() {
            return None;
        }
        let invariant = model.invariants.get(due.invariant)?;
        let name = invariant.each.as_ref().map(|(name, _)| name);
        let read = invariant.read.as_ref()?;
        let mirror = self.judge.mirror();
        let entity = name.zip(due.entity);
        let rendered = self.renderer.read(mirror, &self.jars, read, entity);
        rendered.ok().flatten().map(|(request, _)| request)
    }

    /// The principals that keep something and came into being by a step, or else by the one that it tries again, or that
    /// tries it again.
    fn made_by(&self, step: &Step) -> Vec<Handle> {
        let again = self.retries.get(&step.id).copied();
        let model = &self.runner.model;
        let mirror = self.judge.mirror();
        let kinds = model.principals().filter(|kind| model.keeps(*kind));
        let all = kinds.flat_map(|kind| mirror.all(kind));
        let all: Vec<Handle> = all.map(|(handle, _)| handle).collect();
        let made = |id: Option<u32>| {
            let made = all.iter().filter(move |handle| Some(handle.step) == id);
            made.copied().collect::<Vec<Handle>>()
        };
        // What is taken for the request that it repeats makes nothing of its own.
        let ids = [Some(step.id), again, step.delivery.again()];
        (ids.into_iter().map(made))
            .find(|made| !made.is_empty())
            .unwrap_or_default()
    }
}
