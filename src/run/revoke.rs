//! Revoked credentials: whose they were, since when nobody may take them, and until when a server may still do so.

use std::time::Instant;

use super::Run;
use crate::drive::Given;
use crate::generate::{Delivery, Step};
use crate::model::action::{Action, Actor, Forgery};
use crate::model::value::{Handle, KindId};

/// What principals show before a step.
pub(super) type Shown = Vec<(Handle, Option<Given>)>;

impl Run<'_> {
    /// Whether credentials of a kind can be revoked in a way that is looked at.
    fn is_watched(&self, kind: KindId) -> bool {
        let model = &self.runner.model;
        let auth = model.kind(kind).auth.as_ref();
        model.renews(kind) || auth.is_some_and(|auth| !auth.revoked_within.is_zero())
    }

    /// What principals show whose credentials may be revoked by the next step.
    pub(super) fn shown(&self) -> Shown {
        let model = &self.runner.model;
        let mirror = self.judge.mirror();
        let kinds = model.principals().filter(|kind| self.is_watched(*kind));
        let live = kinds.flat_map(|kind| mirror.live(kind));
        live.map(|handle| (handle, self.renderer.shown(mirror, handle)))
            .collect()
    }

    /// Notes whose credentials are no longer those that they were before.
    pub(super) fn revoke(&mut self, before: Shown) {
        let now = Instant::now();
        for (handle, shown) in before {
            let mirror = self.judge.mirror();
            let after = self.renderer.shown(mirror, handle);
            let changed = after.is_some() && after != shown;
            if changed || !mirror.is_live(handle) {
                self.revoked.insert(handle, now);
            }
            if let (Some(shown), true) = (shown, changed) {
                self.jars.retire(handle, shown);
            }
        }
    }

    /// Until when the credentials that an action shows may still be taken, if they are revoked and that is now.
    pub(super) fn may_linger(&self, action: &Action) -> Option<(Handle, Instant)> {
        let handle = match action.actor {
            Actor::Entity(handle) if !self.judge.mirror().is_live(handle) => handle,
            Actor::Forged(handle, Forgery::Old) => handle,
            _ => return None,
        };
        let auth = self.runner.model.kind(handle.kind).auth.as_ref()?;
        let until = *self.revoked.get(&handle)? + auth.revoked_within;
        (Instant::now() < until).then_some((handle, until))
    }

    /// Whose credentials a step shows that may still be taken when it is sent. The first such step of a plan waits until
    /// they may not; what cannot be judged otherwise is not to be sent.
    pub(super) async fn lingering(
        &mut self,
        step: &Step,
        action: &Action,
    ) -> Result<Option<Handle>, ()> {
        let Some((handle, until)) = self.may_linger(action) else {
            return Ok(None);
        };
        if !self.waited {
            self.waited = true;
            tokio::time::sleep_until(until.into()).await;
            return Ok(None);
        }
        match step.delivery {
            Delivery::Once => Ok(Some(handle)),
            _ => Err(()),
        }
    }
}
