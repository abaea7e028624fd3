//! `gainsay judge` on the histories beside this file, whose verdicts are known; and on what a run writes.

mod recorded;

use std::process::{Command, Output};

fn gainsay(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gainsay"))
        .args(arguments)
        .env("NO_COLOR", "1")
        .output()
        .expect("the binary starts")
}

fn judged(history: &str) -> (i32, String) {
    let model = history.split('_').next().unwrap_or_default();
    let model = format!("tests/histories/{model}.yaml");
    let history = format!("tests/histories/{history}.jsonl");
    let output = gainsay(&["judge", &model, &history]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap_or(-1), text + &errors)
}

#[test]
fn good_histories_hold() {
    for history in [
        "register_good",
        "register_unanswered_write",
        "register_made_meanwhile",
        "queue_good",
        "counter_good",
        "orders_copy_first",
    ] {
        let (code, text) = judged(history);
        assert_eq!(code, 0, "{history}: {text}");
    }
}

#[test]
fn bad_histories_are_contradicted_and_it_is_said_why() {
    for (history, why) in [
        (
            "register_stale_read",
            "4 get answered what does not hold: get returns latest  (line 5)",
        ),
        ("register_lost_write", "2 get answered what does not hold"),
        (
            "register_write_after_its_fence",
            "3 get answered what does not hold",
        ),
        (
            "queue_item_twice",
            "must answer 404 (something_waits), and answered 200",
        ),
        (
            "queue_out_of_order",
            "take answered what does not hold: take returns the_first",
        ),
        (
            "counter_lost_update",
            "add answered what does not hold: add returns sum",
        ),
        (
            "counter_failed",
            "the server failed: add was answered 500  (line 2)",
        ),
        (
            "orders_bred",
            "order answered what does not hold: the same request is answered in the same way",
        ),
    ] {
        let (code, text) = judged(history);
        assert_eq!(code, 1, "{history}: {text}");
        assert!(text.contains(why), "{history}: {text}");
    }
}

#[test]
fn what_is_no_history_is_refused_with_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.jsonl");
    let path = path.to_str().expect("a path");
    let head = r#"{"gainsay": 1, "model": "counter"}"#;
    let read = r#"{"id": 1, "rule": "read", "start_us": 5, "end_us": 6, "status": 200}"#;
    for (text, why) in [
        (String::new(), "the history is empty"),
        ("{}".to_owned(), "line 1: missing field `gainsay`"),
        (
            r#"{"gainsay": 2, "model": "counter"}"#.to_owned(),
            "version 2",
        ),
        (
            r#"{"gainsay": 1, "model": "queue"}"#.to_owned(),
            "of the model `queue`",
        ),
        (
            format!("{head}\n{}", read.replace("status", "stauts")),
            "line 2: unknown field `stauts`",
        ),
        (
            format!("{head}\n{}", read.replace(r#""read""#, r#""raed""#)),
            "no rule `raed`",
        ),
        (
            format!("{head}\n{}", read.replace("6", "4")),
            "ends before it starts",
        ),
        (
            format!("{head}\n{}", read.replace("6", "null")),
            "an answer and no end",
        ),
        (
            format!("{head}\n{read}\n\n{read}"),
            "line 4: there are two operations 1",
        ),
        (
            format!(
                "{head}\n{}",
                read.replace("200", &format!("200, \"body\": {}", "[".repeat(5000)))
            ),
            "line 2: recursion limit",
        ),
        (format!("{head}\n[0, 1]"), "line 2: it is no JSON object"),
        (format!("{head}\n\u{0}"), "line 2: "),
    ] {
        std::fs::write(path, &text).expect("it is written");
        let output = gainsay(&["judge", "tests/histories/counter.yaml", path]);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}: {errors}");
        assert!(errors.contains(why), "{text}: {errors}");
    }
}
