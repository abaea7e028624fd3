//! A model file of a stranger's: it is read or refused, and what is read can be shown.
#![no_main]

use gainsay::model::Model;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(model) = Model::parse("model.yaml", text) {
        model.rule_book();
    }
});
