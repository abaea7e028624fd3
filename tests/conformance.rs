//! Answers are compared with the API's own description, where the model names it: a real server, and a description that is
//! right, then one that is wrong.

use gainsay::Tester;
use gainsay::demo::deep_sci_fi::{Config, serve};

const MODEL: &str = r#"
model: worlds
openapi: api.yaml
rules:
  list_worlds:
    by: anyone
    request: GET /api/worlds
    responds: 200
"#;

/// A description of the list, in which each answer must have a field.
fn description(field: &str) -> String {
    format!(
        r##"
openapi: 3.1.0
paths:
  /api/worlds:
    get:
      responses:
        "200":
          content:
            application/json:
              schema: {{ $ref: "#/components/schemas/Worlds" }}
components:
  schemas:
    Worlds: {{ type: object, required: [{field}], properties: {{ worlds: {{ type: array }} }} }}
"##
    )
}

async fn stories(field: &str, model: &str) -> (bool, String) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("worlds.yaml"), model).expect("a model");
    std::fs::write(folder.path().join("api.yaml"), description(field)).expect("a description");
    let server = serve(Config::default()).await.expect("the demo serves");
    let outcome = Tester::new(folder.path().join("worlds.yaml"))
        .url(server.url())
        .seeds(0..2)
        .steps(3)
        .run_async()
        .await
        .expect("a run");
    server.stop().await;
    (outcome.report.held(), outcome.stories())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_described_holds() {
    let (held, stories) = stories("worlds", MODEL).await;
    assert!(held, "{stories}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_not_described_is_a_violation() {
    let (held, stories) = stories("cursor", MODEL).await;
    assert!(!held);
    for part in [
        "conformance",
        "list_worlds",
        "\"cursor\" is a required property",
        "conformance: false }",
    ] {
        assert!(stories.contains(part), "{part} in {stories}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_can_be_switched_off() {
    let model = format!("{MODEL}builtin: {{ conformance: false }}\n");
    let (held, stories) = stories("cursor", &model).await;
    assert!(held, "{stories}");
}
