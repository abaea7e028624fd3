//! The mirror: the reference state, entity kind by entity kind, handle → record. Persistent: a clone costs O(1) and
//! shares everything, so that worlds, rehearsals and 'before' are cheap.

use std::sync::Arc;

use imbl::OrdMap;
use imbl::ordmap::DiffItem;

use super::value::{Handle, KindId, Value};

/// One entity: its fields in the order of its kind's declaration, and whether it has been deleted.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Record {
    /// The values of the fields, in the kind's order.
    pub fields: Arc<[Value]>,
    /// Deleted: no longer in its plural, but can still be picked.
    pub gone: bool,
}

/// The reference state of one plan.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Mirror {
    // One pointer: expressions hold a clone for each entity that they look at.
    state: Arc<State>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct State {
    kinds: Vec<OrdMap<Handle, Record>>,
    globals: Vec<Value>,
}

impl Mirror {
    /// An empty mirror of `kinds` kinds of entity, with the given globals.
    pub fn new(kinds: usize, globals: Vec<Value>) -> Mirror {
        Mirror {
            state: Arc::new(State {
                kinds: vec![OrdMap::new(); kinds],
                globals,
            }),
        }
    }

    /// The record of an entity, if it was ever created.
    pub fn get(&self, handle: Handle) -> Option<&Record> {
        self.state
            .kinds
            .get(usize::from(handle.kind.0))?
            .get(&handle)
    }

    /// Whether the entity exists and has not been deleted.
    pub fn is_live(&self, handle: Handle) -> bool {
        self.get(handle).is_some_and(|record| !record.gone)
    }

    /// Every entity of a kind, deleted ones too, in order of creation.
    pub fn all(&self, kind: KindId) -> impl DoubleEndedIterator<Item = (Handle, &Record)> {
        self.state
            .kinds
            .get(usize::from(kind.0))
            .into_iter()
            .flat_map(|map| map.iter().map(|(handle, record)| (*handle, record)))
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
            .map_or(0, OrdMap::len)
    }

    /// How many entities of all kinds there ever were.
    pub fn len(&self) -> usize {
        self.state.kinds.iter().map(OrdMap::len).sum()
    }

    /// Whether nothing was ever created.
    pub fn is_empty(&self) -> bool {
        self.state.kinds.iter().all(OrdMap::is_empty)
    }

    /// The entities that came into being since another state of this mirror, or changed.
    pub fn changed_since(&self, before: &Mirror) -> Vec<Handle> {
        let kinds = before.state.kinds.iter().zip(&self.state.kinds);
        let changes = kinds.flat_map(|(before, after)| before.diff(after));
        let changed = changes.filter_map(|change| match change {
            DiffItem::Add(handle, _) => Some(*handle),
            DiffItem::Update { new, .. } => Some(*new.0),
            DiffItem::Remove(..) => None,
        });
        changed.collect()
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
        };
        if let Some(map) = Arc::make_mut(&mut self.state)
            .kinds
            .get_mut(usize::from(handle.kind.0))
        {
            map.insert(handle, record);
        }
    }

    /// Changes the record of an entity; nothing happens where there is none.
    pub fn update(&mut self, handle: Handle, change: impl FnOnce(&mut Record)) {
        if let Some(record) = Arc::make_mut(&mut self.state)
            .kinds
            .get_mut(usize::from(handle.kind.0))
            .and_then(|map| map.get_mut(&handle))
        {
            change(record);
        }
    }

    /// Forgets an entity altogether.
    pub fn forget(&mut self, handle: Handle) {
        if let Some(map) = Arc::make_mut(&mut self.state)
            .kinds
            .get_mut(usize::from(handle.kind.0))
        {
            map.remove(&handle);
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
