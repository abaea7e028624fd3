//! The mirror: the reference state, entity kind by entity kind, handle → record. Persistent: a clone costs O(1) and
//! shares everything, so that worlds, rehearsals and 'before' are cheap.

use std::sync::Arc;

use imbl::ordmap::DiffItem;
use imbl::{OrdMap, Vector};

use super::value::{Handle, KindId, Value};

/// One entity: its fields in the order of its kind's declaration, and whether it has been deleted.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Record {
    /// The values of the fields, in the kind's order.
    pub fields: Arc<[Value]>,
    /// Deleted: no longer in its plural, but can still be picked.
    pub gone: bool,
    /// A principal who shows something else than before.
    pub renewed: bool,
}

/// The reference state of one plan.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Mirror {
    // One pointer: expressions hold a clone for each entity that they look at.
    state: Arc<State>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct State {
    kinds: Vec<Kind>,
    globals: Vec<Value>,
}

/// The entities of a kind.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct Kind {
    records: OrdMap<Handle, Record>,
    /// In which order they came into being, where that is not the order of their handles: of two steps that run at once the
    /// later one may come first.
    order: Option<Vector<Handle>>,
}

impl Kind {
    fn insert(&mut self, handle: Handle, record: Record) {
        let newest = self.records.get_max().map(|(newest, _)| *newest);
        if self.order.is_none() && newest.is_some_and(|newest| handle < newest) {
            self.order = Some(self.records.keys().copied().collect());
        }
        let known = self.records.insert(handle, record).is_some();
        if let (Some(order), false) = (&mut self.order, known) {
            order.push_back(handle);
        }
    }

    fn forget(&mut self, handle: Handle) {
        self.records.remove(&handle);
        if let Some(order) = &mut self.order {
            order.retain(|other| *other != handle);
        }
    }
}

impl Mirror {
    /// An empty mirror of `kinds` kinds of entity, with the given globals.
    pub fn new(kinds: usize, globals: Vec<Value>) -> Mirror {
        Mirror {
            state: Arc::new(State {
                kinds: vec![Kind::default(); kinds],
                globals,
            }),
        }
    }

    /// The record of an entity, if it was ever created.
    pub fn get(&self, handle: Handle) -> Option<&Record> {
        self.state
            .kinds
            .get(usize::from(handle.kind.0))?
            .records
            .get(&handle)
    }

    /// Whether the entity exists and has not been deleted.
    pub fn is_live(&self, handle: Handle) -> bool {
        self.get(handle).is_some_and(|record| !record.gone)
    }

    /// Every entity of a kind, deleted ones too, in order of creation.
    pub fn all(&self, kind: KindId) -> impl DoubleEndedIterator<Item = (Handle, &Record)> {
        let kind = self.state.kinds.get(usize::from(kind.0));
        let ordered = kind.and_then(|kind| Some((kind, kind.order.as_ref()?)));
        let as_numbered = kind.filter(|kind| kind.order.is_none()).into_iter();
        let as_ordered = ordered.into_iter();
        (as_numbered
            .flat_map(|kind| kind.records.iter())
            .map(|(handle, record)| (*handle, record)))
        .chain(as_ordered.flat_map(|(kind, order)| {
            let records = order
                .iter()
                .map(|handle| Some((*handle, kind.records.get(handle)?)));
            records.flatten()
        }))
    }

    /// The live entities of a kind, in order of creation.
    pub fn live(&self, kind: KindId) -> impl DoubleEndedIterator<Item = Handle> + '_ {
        self.all(kind)
            .filter(|(_, record)| !record.gone)
            .map(|(handle, _)| handle)
    }

    /// How many entities of a kind there ever were.
    pub fn count(&self, kind: KindId) -> usize {
        self.state
            .kinds
            .get(usize::from(kind.0))
            .map_or(0, |kind| kind.records.len())
    }

    /// How many entities of all kinds there ever were.
    pub fn len(&self) -> usize {
        self.state.kinds.iter().map(|kind| kind.records.len()).sum()
    }

    /// Whether nothing was ever created.
    pub fn is_empty(&self) -> bool {
        self.state.kinds.iter().all(|kind| kind.records.is_empty())
    }

    /// The entities that came into being since another state of this mirror, or changed.
    pub fn changed_since(&self, before: &Mirror) -> Vec<Handle> {
        let kinds = before.state.kinds.iter().zip(&self.state.kinds);
        let changes = kinds.flat_map(|(before, after)| before.records.diff(&after.records));
        let changed = changes.filter_map(|change| match change {
            DiffItem::Add(handle, _) => Some(*handle),
            DiffItem::Update { new, .. } => Some(*new.0),
            DiffItem::Remove(..) => None,
        });
        changed.collect()
    }

    /// Whether some came into being in another order than that of their handles.
    pub fn is_reordered(&self) -> bool {
        self.state.kinds.iter().any(|kind| kind.order.is_some())
    }

    /// The same mirror with its entities in the order of their handles, whichever came into being first.
    pub fn unordered(&self) -> Mirror {
        let mut mirror = self.clone();
        if mirror.is_reordered() {
            for kind in &mut Arc::make_mut(&mut mirror.state).kinds {
                kind.order = None;
            }
        }
        mirror
    }

    /// The value of a global, by its position.
    pub fn global(&self, index: usize) -> Option<&Value> {
        self.state.globals.get(index)
    }

    /// Sets a global, by its position.
    pub fn set_global(&mut self, index: usize, value: Value) {
        let state = Arc::make_mut(&mut self.state);
        if let Some(slot) = state.globals.get_mut(index) {
            *slot = value;
        }
    }

    /// Adds an entity, or replaces it.
    pub fn insert(&mut self, handle: Handle, fields: Vec<Value>) {
        let record = Record {
            fields: fields.into(),
            gone: false,
            renewed: false,
        };
        let kinds = &mut Arc::make_mut(&mut self.state).kinds;
        if let Some(kind) = kinds.get_mut(usize::from(handle.kind.0)) {
            kind.insert(handle, record);
        }
    }

    /// Changes the record of an entity; nothing happens where there is none.
    pub fn update(&mut self, handle: Handle, change: impl FnOnce(&mut Record)) {
        if let Some(record) = Arc::make_mut(&mut self.state)
            .kinds
            .get_mut(usize::from(handle.kind.0))
            .and_then(|kind| kind.records.get_mut(&handle))
        {
            change(record);
        }
    }

    /// Forgets an entity altogether.
    pub fn forget(&mut self, handle: Handle) {
        let kinds = &mut Arc::make_mut(&mut self.state).kinds;
        if let Some(kind) = kinds.get_mut(usize::from(handle.kind.0)) {
            kind.forget(handle);
        }
    }

    /// Marks an entity as deleted.
    pub fn delete(&mut self, handle: Handle) {
        self.update(handle, |record| record.gone = true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle(step: u32) -> Handle {
        Handle {
            kind: KindId(0),
            step,
            nth: 0,
        }
    }

    #[test]
    fn a_clone_is_a_snapshot() {
        let mut mirror = Mirror::new(1, vec![]);
        mirror.insert(handle(1), vec![Value::Int(1)]);
        let before = mirror.clone();
        mirror.insert(handle(2), vec![Value::Int(2)]);
        mirror.delete(handle(1));
        assert_eq!(before.live(KindId(0)).count(), 1);
        assert!(before.is_live(handle(1)));
        assert_eq!(mirror.live(KindId(0)).collect::<Vec<_>>(), [handle(2)]);
        assert!(mirror.get(handle(1)).is_some_and(|r| r.gone));
        assert_ne!(before, mirror);
    }
}
