//! Probes: the request of an action once more, about what never was instead of what it picks. Whoever cannot see what he
//! picked must not be able to tell the two answers apart.

use percent_encoding::utf8_percent_encode;

use super::{Renderer, SEGMENT, made_up, never, never_counted};
use crate::drive::Jars;
use crate::drive::history::Request;
use crate::model::action::{Action, Picked};
use crate::model::mirror::Mirror;
use crate::model::value::{Handle, Value};

/// A request about what never was.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The request.
    pub request: Request,
    /// The texts that were made up for it, and what each stands in the place of.
    pub made_up: Vec<(String, String)>,
}

impl Renderer {
    /// The request of an action that was made real, with what never was in the place of some of its picks: of the same
    /// form as what is picked, and another one each time. Nothing where that makes no other request.
    pub fn probe(
        &self,
        mirror: &Mirror,
        jars: &Jars,
        action: &Action,
        picks: &[usize],
    ) -> Option<Probe> {
        let mut mirror = mirror.clone();
        let handles = action.picks.iter().copied().map(Picked::handle);
        let mut about = handles.collect::<Option<Vec<Handle>>>()?;
        let sent = self.request_about(&mirror, jars, action, &about).ok()?;
        let mut probe = Probe {
            request: sent,
            made_up: Vec::new(),
        };
        for index in picks {
            let hidden = *about.get(*index)?;
            // What else is known of it stays, as the folder that it is in. Where its key is not sent, nothing does.
            let another = [false, true].into_iter().find_map(|whole| {
                let (never, made_up) = self.another(&mut mirror, hidden, *index, whole)?;
                about[*index] = never;
                let request = self.request_about(&mirror, jars, action, &about).ok()?;
                (request != probe.request).then_some((request, made_up))
            });
            let (request, made_up) = another?;
            probe.request = request;
            probe.made_up.extend(made_up);
        }
        Some(probe)
    }

    /// An entity that never was, like another one but for its key, or for all its texts; and what was made up for it.
    fn another(
        &self,
        mirror: &mut Mirror,
        like: Handle,
        nth: usize,
        whole: bool,
    ) -> Option<(Handle, Vec<(String, String)>)> {
        let key = self.model.kind(like.kind).key;
        let salt = self.salt();
        let mut replaced: Vec<(String, String)> = Vec::new();
        let record = mirror.get(like)?;
        let fields = record
            .fields
            .iter()
            .enumerate()
            .map(|(index, value)| match value {
                Value::Text(text) if whole || key == Some(index) => {
                    let anew = never(text, salt);
                    replaced.push((anew.clone(), text.to_string()));
                    Value::text(anew)
                }
                Value::Int(int) if key == Some(index) => {
                    let anew = never_counted(salt);
                    replaced.push((anew.to_string(), int.to_string()));
                    Value::Int(anew)
                }
                other => other.clone(),
            });
        let fields: Vec<Value> = fields.collect();
        // A path may come back as it was sent.
        let encoded = |text: &str| utf8_percent_encode(text, SEGMENT).to_string();
        let in_paths = replaced.iter();
        let in_paths = in_paths.map(|(anew, old)| (encoded(anew), encoded(old)));
        let in_paths: Vec<_> = in_paths.filter(|pair| !replaced.contains(pair)).collect();
        replaced.extend(in_paths);
        Some((made_up(mirror, like.kind, nth, fields), replaced))
    }
}
