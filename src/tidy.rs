//! Clean-up: at the end of a plan, what it created is deleted again, the newest first, by the rules that the model itself
//! has for that. What no rule deletes stays, and is counted.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Instant;

use crate::drive::{Client, Jars, Renderer};
use crate::generate::Generator;
use crate::model::Model;
use crate::model::action::{Action, Outcome};
use crate::model::mirror::Mirror;
use crate::model::value::{Handle, KindId};

/// A deletion can be what another one waits for; nothing waits for longer than this.
const ROUNDS: usize = 3;

/// What a clean-up came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tidied {
    /// How many entities went.
    pub deleted: u64,
    /// How many are left, by kind.
    pub left: BTreeMap<KindId, u64>,
    /// The requests that it took.
    pub requests: u64,
}

impl Tidied {
    /// Both together.
    pub fn add(&mut self, other: &Tidied) {
        self.deleted += other.deleted;
        self.requests += other.requests;
        for (kind, count) in &other.left {
            *self.left.entry(*kind).or_default() += count;
        }
    }
}

/// What a clean-up works with.
pub(crate) struct Tidy<'a> {
    pub generator: &'a Generator,
    pub client: &'a Client,
    pub renderer: &'a Renderer,
    pub model: &'a Model,
    /// What was there before the plan.
    pub start: &'a Mirror,
}

impl Tidy<'_> {
    /// Deletes what there is in a mirror and was not there before the plan.
    pub async fn up(&self, mut mirror: Mirror, jars: &mut Jars) -> Tidied {
        let mut tidied = Tidied::default();
        let mut left: Vec<Handle> = Vec::new();
        for kind in self.model.kind_ids() {
            let created = mirror.live(kind).filter(|h| self.start.get(*h).is_none());
            left.extend(created);
        }
        let created = left.len();
        left.sort_by_key(|handle| Reverse((handle.step, handle.nth)));
        for _ in 0..ROUNDS {
            let before = left.len();
            let mut rest = Vec::new();
            for entity in left {
                if mirror.is_live(entity)
                    && !self.delete(entity, &mut mirror, jars, &mut tidied).await
                {
                    rest.push(entity);
                }
            }
            left = rest;
            if left.is_empty() || left.len() == before {
                break;
            }
        }
        left.retain(|handle| mirror.is_live(*handle));
        tidied.deleted = (created - left.len()) as u64;
        for handle in left {
            *tidied.left.entry(handle.kind).or_default() += 1;
        }
        tidied
    }

    /// Deletes one, and what goes with it. Whether it went.
    async fn delete(
        &self,
        entity: Handle,
        mirror: &mut Mirror,
        jars: &mut Jars,
        tidied: &mut Tidied,
    ) -> bool {
        let Some((action, request)) = self.generator.removal(mirror, entity).and_then(|action| {
            let action: Action = self.renderer.materialise(&action);
            let request = self.renderer.request(mirror, jars, &action).ok()?;
            Some((action, request))
        }) else {
            return false;
        };
        tidied.requests += 1;
        let Ok((_, response)) = self.client.send(&request, Instant::now()).await else {
            return false;
        };
        if let Some(asks) = action.actor.handle().filter(|h| self.model.keeps(h.kind)) {
            jars.learn(self.model, asks, None, &request.path, &response);
        }
        let done = Outcome::Ok(0);
        if !self
            .model
            .statuses(action.rule, done)
            .allow(response.status)
        {
            return false;
        }
        let answer = response.answer();
        (self.model).apply(mirror, &action, done, u32::MAX, Some(&answer));
        !mirror.is_live(entity)
    }
}
