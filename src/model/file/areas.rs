//! The areas of a model file: headings that entities, rules and invariants stand under. What stands at the top level
//! comes first, as if under a heading without a name.

use super::*;

/// A part of the file that holds entities, rules and invariants.
pub(super) struct Section<'n> {
    /// The heading; the top level has none.
    heading: Option<&'n Key>,
    fields: Fields<'n>,
}

/// What stands under one key of all sections: for each section its entries.
pub(super) type Under<'n> = Vec<Vec<(&'n Key, &'n Node)>>;

impl File<'_> {
    pub(super) fn sections<'n>(&mut self, root: &'n Node, known: &[&str]) -> Vec<Section<'n>> {
        let top = self.reader.fields(root, "a model", known);
        let areas = match top.get("areas") {
            Some(node) => self.reader.entries(node, "`areas`"),
            None => Vec::new(),
        };
        let mut sections = vec![Section {
            heading: None,
            fields: top,
        }];
        for (heading, node) in areas {
            let what = format!("the area `{}`", heading.name);
            let known = ["about", "entities", "rules", "invariants"];
            sections.push(Section {
                heading: Some(heading),
                fields: self.reader.fields(node, &what, &known),
            });
        }
        sections
    }

    /// The entries under a key, section by section. A name that stands twice is reported, in whichever sections.
    pub(super) fn under<'n>(&mut self, sections: &[Section<'n>], key: &str) -> Under<'n> {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut under = Vec::new();
        for section in sections {
            let mut entries = match section.fields.get(key) {
                Some(node) => self.reader.entries(node, &format!("`{key}`")),
                None => Vec::new(),
            };
            entries.retain(|(key, _)| {
                let new = seen.insert(&key.name);
                if !new {
                    self.reader.mistake(
                        key.span.clone(),
                        format!("`{}` stands in another area as well", key.name),
                        "rename one, or remove it",
                    );
                }
                new
            });
            under.push(entries);
        }
        under
    }

    /// The areas, once it is known which entities, rules and invariants are sound: for each kind of thing, how many
    /// there were when each section ended.
    pub(super) fn areas(&mut self, sections: &[Section<'_>], ends: [&[usize]; 3]) -> Vec<Area> {
        let within = |ends: &[usize], nth: usize| ends[nth - 1]..ends[nth];
        let named = sections.iter().enumerate();
        let named = named.filter_map(|(nth, section)| Some((nth, section, section.heading?)));
        named
            .map(|(nth, section, heading)| Area {
                name: heading.name.clone(),
                about: self.text_of(&section.fields, "about"),
                kinds: within(ends[0], nth),
                rules: within(ends[1], nth),
                invariants: within(ends[2], nth),
            })
            .collect()
    }
}

impl<'n> Section<'n> {
    pub(super) fn top<'s>(sections: &'s [Section<'n>]) -> &'s Fields<'n> {
        // The top level is always there, and first.
        &sections[0].fields
    }

    pub(super) fn heading(&self) -> Option<&'n Key> {
        self.heading
    }
}

/// A heading as a tag: `Story reviews` → `story-reviews`.
pub(in crate::model) fn tag_of(heading: &str) -> String {
    let words = heading.split(|c: char| !c.is_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join("-")
}
