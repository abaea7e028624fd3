//! A history of a stranger's: it is read or refused, and what is read is judged within bounds.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use gainsay::check::linear::{Bounds, Verdict, check};
use gainsay::model::Model;
use gainsay::report::recording;
use libfuzzer_sys::fuzz_target;

static MODEL: LazyLock<Model> = LazyLock::new(|| {
    Model::parse("notes.yaml", include_str!("../notes.yaml")).expect("the model is sound")
});

fuzz_target!(|bytes: &[u8]| {
    let Ok(recording) = recording::read(&MODEL, bytes) else {
        return;
    };
    let bounds = Bounds {
        time: Duration::from_millis(50),
        ..Bounds::default()
    };
    for plan in &recording.plans {
        if let Verdict::Contradicted(refutation) =
            check(&MODEL, &recording.start, &plan.operations, &bounds)
        {
            recording::refuted(&MODEL, plan, &refutation);
        }
    }
});
