//! What is wrong with a model file is said with its place and a remedy: every broken model in `model_errors/` beside
//! the exact text that its author sees, and sound models cut short and garbled, which must never panic.

use std::fs;
use std::path::{Path, PathBuf};

use gainsay::model::{Model, ModelErrors};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/model_errors")
}

/// Name and text of every broken model, by name.
fn broken_models() -> Vec<(String, String)> {
    let mut models: Vec<(String, String)> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    models.sort();
    models
}

fn mistakes_of(name: &str, text: &str) -> ModelErrors {
    match Model::parse(&format!("tests/model_errors/{name}.yaml"), text) {
        Err(errors) => errors,
        Ok(_) => panic!("{name}.yaml is a sound model"),
    }
}

#[test]
fn every_broken_model_is_explained() {
    let models = broken_models();
    assert!(models.len() >= 36, "only {} models", models.len());
    for (name, text) in models {
        let errors = mistakes_of(&name, &text);
        let shown = format!("{errors}\n{}", errors.render(false, 100));
        insta::with_settings!({
            snapshot_path => folder(),
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, {
            insta::assert_snapshot!(name.as_str(), shown);
        });
    }
}

#[test]
fn no_snapshot_has_lost_its_model() {
    let models = broken_models();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "snap") {
            let name = path.file_stem().unwrap().to_str().unwrap();
            assert!(
                models.iter().any(|(n, _)| n == name),
                "{} has no model",
                path.display()
            );
        }
    }
}

#[test]
fn every_mistake_has_a_place_and_a_remedy() {
    for (name, text) in broken_models() {
        let errors = mistakes_of(&name, &text);
        for mistake in &errors.mistakes {
            let said = format!("{name}: {}", mistake.message);
            assert!(!mistake.help.is_empty(), "{said} (no remedy)");
            assert!(mistake.span.end <= text.len(), "{said} {:?}", mistake.span);
            assert!(
                text.get(mistake.span.clone()).is_some(),
                "{said} {:?} splits a character",
                mistake.span
            );
        }
    }
}

/// Reads a text that may be no model; what is wrong with it must lie within it, and must be printable.
fn read(text: &str) {
    if let Err(errors) = Model::parse("model.yaml", text) {
        assert!(!errors.mistakes.is_empty());
        for mistake in &errors.mistakes {
            let span = mistake.span.clone();
            assert!(
                text.get(span.clone()).is_some(),
                "{span:?} of {} bytes: {}",
                text.len(),
                mistake.message
            );
            assert!(!mistake.help.is_empty(), "no remedy: {}", mistake.message);
        }
        assert!(!errors.render(false, 100).is_empty());
    }
}

fn sound_models() -> Vec<String> {
    ["deep-sci-fi", "kinto"]
        .map(|name| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("models/{name}.yaml"));
            fs::read_to_string(path).unwrap()
        })
        .into()
}

#[test]
fn a_model_that_is_cut_short_is_no_surprise() {
    for (text, step) in sound_models().iter().zip([97, 485]) {
        for end in (0..text.len()).step_by(step) {
            if text.is_char_boundary(end) {
                read(&text[..end]);
            }
        }
    }
}

/// The generator of Marsaglia, "Xorshift RNGs" (2003), which is all that picking lines takes.
struct Xorshift(u64);

impl Xorshift {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}

#[test]
fn a_garbled_model_is_no_surprise() {
    let mut random = Xorshift(0x9e37_79b9_7f4a_7c15);
    for text in sound_models() {
        let lines: Vec<&str> = text.lines().collect();
        for _ in 0..50 {
            let mut garbled = lines.clone();
            for _ in 0..=random.below(4) {
                let at = random.below(garbled.len());
                match random.below(3) {
                    0 => drop(garbled.remove(at)),
                    1 => garbled.insert(random.below(garbled.len()), garbled[at]),
                    _ => {
                        let other = random.below(garbled.len());
                        garbled.swap(at, other);
                    }
                }
            }
            read(&garbled.join("\n"));
        }
    }
}

#[test]
fn a_model_with_characters_swapped_is_no_surprise() {
    const TYPOS: &[char] = &[
        '"', '\'', '{', '}', '[', ']', ':', '$', '(', '.', '#', '|', '>', '&', '*', 'ä', '…', '\\',
        '-', '?',
    ];
    let mut random = Xorshift(0x2545_f491_4f6c_dd1d);
    for text in sound_models() {
        let chars: Vec<char> = text.chars().collect();
        for _ in 0..50 {
            let mut garbled = chars.clone();
            for _ in 0..=random.below(3) {
                let at = random.below(garbled.len());
                garbled[at] = TYPOS[random.below(TYPOS.len())];
            }
            read(&garbled.into_iter().collect::<String>());
        }
    }
}
