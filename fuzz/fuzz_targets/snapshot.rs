//! A snapshot of a stranger's: it is read or refused, and what is read is written as it was.
#![no_main]

use std::sync::LazyLock;

use gainsay::model::Model;
use gainsay::report::Snapshot;
use libfuzzer_sys::fuzz_target;

static MODEL: LazyLock<Model> = LazyLock::new(|| {
    Model::parse("notes.yaml", include_str!("../notes.yaml")).expect("the model is sound")
});

fuzz_target!(|text: &str| {
    let Ok(snapshot) = Snapshot::parse(&MODEL, "a.snap", text) else {
        return;
    };
    let written = snapshot.to_text(&MODEL).expect("what was read can be written");
    let again = Snapshot::parse(&MODEL, "a.snap", &written).expect("what was written can be read");
    assert_eq!(again.to_text(&MODEL).ok(), Some(written));
});
