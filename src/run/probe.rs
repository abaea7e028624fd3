//! Probes of a run: what was refused because who asked cannot see it is asked for again with an id that never was. The
//! answers must be the same.

use std::time::Instant;

use super::Run;
use crate::check::{Probed, differences};
use crate::drive::history::{Event, Purpose, Response};
use crate::drive::{ClientError, Probe};
use crate::generate::Step;
use crate::model::Statuses;
use crate::model::action::Action;

/// So many probes are sent at most after a step. The second one is only for what differs: what it differs in from the
/// first one, such as the id of the request, tells nobody anything.
const PROBES: usize = 2;

impl Run<'_> {
    /// Asks once more what a step asked, about what never was, if the step was refused because of what its actor cannot
    /// see, and has the answers compared.
    pub(super) async fn probe(
        &mut self,
        step: &Step,
        action: &Action,
        response: &Response,
        event: usize,
    ) -> Result<(), ClientError> {
        let model = &self.runner.model;
        if !model.has_builtin("indistinguishable") || response.truncated {
            return Ok(());
        }
        let Some(picks) = self.judge.concealed(step.id, action) else {
            return Ok(());
        };
        let hidden = response.answer();
        let mut probed: Vec<Probed> = Vec::new();
        for nth in 1..=PROBES {
            let mirror = self.judge.mirror();
            let probe = (self.renderer).probe(mirror, &self.jars, action, &picks);
            let Some(probe) = probe else {
                return Ok(());
            };
            let Some(answered) = self.ask_instead(step, action, probe, nth).await? else {
                return Ok(());
            };
            probed.push(answered);
            if differences(&hidden, &probed).is_empty() {
                return Ok(());
            }
        }
        self.judge
            .observe_probes((action.rule, &picks), &hidden, &probed, event);
        Ok(())
    }

    /// Sends a probe; nothing where its answer says nothing: the server fails, or it says 'not now'.
    async fn ask_instead(
        &mut self,
        step: &Step,
        action: &Action,
        probe: Probe,
        nth: usize,
    ) -> Result<Option<Probed>, ClientError> {
        let model = &self.runner.model;
        let Probe {
            mut request,
            made_up,
        } = probe;
        // It is another request, and nobody has to recognise it.
        if let Some(key) = model.rules[action.rule].key() {
            let value = format!("{}-{}-{nth}", self.mark, step.id);
            request.headers.push((key.header.clone(), value));
        }
        let sent = Instant::now();
        let (exchange, response) = match self.runner.client.send(&request, self.began).await {
            Ok((exchange, response)) => (exchange, Some(response)),
            Err(error) => {
                error.silence().ok_or(error)?;
                let exchange = self.runner.client.unanswered(&request, self.began, sent);
                (exchange, None)
            }
        };
        self.requests += 1 + u64::from(exchange.deferred);
        self.history.events.push(Event {
            purpose: Purpose::Probe {
                of: step.id,
                made_up: made_up.clone(),
            },
            exchange,
        });
        if let (Some(asks), Some(response)) = (action.actor.handle(), &response) {
            self.keep_for(asks, None, response, self.history.events.len() - 1);
        }
        let says = |response: &Response| {
            !Statuses::failed(response.status)
                && !response.truncated
                && !model.tolerate.allow(response.status)
        };
        let response = response.filter(|response| says(response));
        Ok(response.map(|response| Probed {
            answer: response.answer(),
            made_up,
        }))
    }
}
