//! Every planted bug, shown by a short sequence: what the sound server answers, and what the slip makes of it.

use reqwest::Method;
use serde_json::{Value, json};

use super::harness::{Agent, Api, proposal, text, vote, words};
use super::{feedback, society_slips, stories, world_slips};
use crate::demo::deep_sci_fi::{Bug, Config, Keys};

/// Runs the sequence that shows a bug. The last value is what the sound server must yield, the one before it what the
/// slip must, and the first what this server yielded.
async fn sequence(api: &Api, bug: Bug) -> (Value, Value, Value) {
    let (author, other) = (
        api.agent_called("author").await,
        api.agent_called("other").await,
    );
    if let Some(shown) = stories::sequence(api, bug, &author, &other).await {
        return shown;
    }
    if let Some(shown) = feedback::sequence(api, bug, &author, &other).await {
        return shown;
    }
    match bug {
        Bug::TakenUsernameRefused => {
            api.register("same").await;
            (
                json!(api.register("same").await.status),
                json!(409),
                json!(200),
            )
        }
        Bug::DuplicateApiKeys => {
            let (agent, again) = (
                api.agent_called("same").await,
                api.agent_called("same").await,
            );
            let me = api.get_as(&agent, "/auth/me").await;
            let shown = json!([me.status, agent.key == again.key]);
            (shown, json!([500, true]), json!([200, false]))
        }
        Bug::ModelWrittenToEveryone => {
            api.patch(&author, "/auth/me/model", json!({ "model_id": "m" }))
                .await;
            let read = api.get_as(&other, "/auth/me").await;
            (read.body["model_id"].clone(), json!("m"), json!(null))
        }
        Bug::FourthProposal => {
            for _ in 0..3 {
                api.draft(&author).await;
            }
            let fourth = api.post(&author, "/proposals", proposal()).await;
            (json!(fourth.status), json!(200), json!(429))
        }
        Bug::LimitCountsDraftsOnly => {
            api.submitted(&author).await;
            api.draft(&author).await;
            api.draft(&author).await;
            let fourth = api.post(&author, "/proposals", proposal()).await;
            (json!(fourth.status), json!(200), json!(429))
        }
        Bug::SubmitByAnyone => {
            let id = api.draft(&author).await;
            let submit = api
                .post(&other, &format!("/proposals/{id}/submit"), json!({}))
                .await;
            (json!(submit.status), json!(200), json!(403))
        }
        Bug::SubmitTwice => {
            let id = api.submitted(&author).await;
            let submit = api
                .post(&author, &format!("/proposals/{id}/submit"), json!({}))
                .await;
            (json!(submit.status), json!(200), json!(400))
        }
        Bug::SubmitAll => {
            let id = api.draft(&author).await;
            api.submitted(&author).await;
            (
                json!(api.status(&id).await),
                json!("validating"),
                json!("draft"),
            )
        }
        Bug::ReviseNotStored => {
            let id = api.draft(&author).await;
            api.done(
                &author,
                &format!("/proposals/{id}/revise"),
                json!({ "premise": "new" }),
            )
            .await;
            let read = api.get(&format!("/proposals/{id}")).await;
            (
                read["proposal"]["premise"].clone(),
                json!(words(50)),
                json!("new"),
            )
        }
        Bug::RevisionNotCounted => {
            let id = api.draft(&author).await;
            let revised = api
                .done(&author, &format!("/proposals/{id}/revise"), json!({}))
                .await;
            (revised["revision_count"].clone(), json!(0), json!(1))
        }
        Bug::ReviseAfterDecision => {
            let world = api.world(&author).await;
            let id = text(&api.get(&format!("/worlds/{world}")).await["world"]["proposal_id"]);
            let revised = api
                .post(&author, &format!("/proposals/{id}/revise"), json!({}))
                .await;
            (json!(revised.status), json!(200), json!(400))
        }
        Bug::MissingProposalCrashes => {
            let path = format!("/proposals/{}", author.id);
            let read = Api::send(api.request(Method::GET, &path)).await;
            (json!(read.status), json!(500), json!(404))
        }
        Bug::BlindModeLeaks => {
            let id = api.submitted(&author).await;
            api.vote(&api.agent_called("third").await, &id, "approve")
                .await;
            let read = api.get_as(&other, &format!("/proposals/{id}")).await;
            (
                read.body["summary"]["approve_count"].clone(),
                json!(1),
                json!("hidden"),
            )
        }
        Bug::ValidateDraft => {
            let id = api.draft(&author).await;
            (
                json!(api.vote(&other, &id, "approve").await.status),
                json!(200),
                json!(400),
            )
        }
        Bug::SelfValidation => {
            let id = api.submitted(&author).await;
            (
                json!(api.vote(&author, &id, "approve").await.status),
                json!(200),
                json!(400),
            )
        }
        Bug::SecondVote => second_vote(api, &author, &other, 200).await,
        Bug::SecondVoteCrashes => second_vote(api, &author, &other, 500).await,
        Bug::WeaknessesNotRequired => weaknesses(api, &author, &other, &[]).await,
        Bug::SixWeaknesses => {
            weaknesses(api, &author, &other, &["1", "2", "3", "4", "5", "6"]).await
        }
        Bug::GateIgnored => {
            let id = api.submitted(&author).await;
            let decided = decide(api, &id, &["strengthen", "approve", "approve"]).await;
            (json!(decided), json!("approved"), json!("validating"))
        }
        Bug::GateOpenedByEarlierRevision => {
            let id = api.submitted(&author).await;
            api.done(&author, &format!("/proposals/{id}/revise"), json!({}))
                .await;
            let decided = decide(api, &id, &["strengthen", "approve", "approve"]).await;
            (json!(decided), json!("approved"), json!("validating"))
        }
        Bug::ApprovalDespiteRejection => {
            let id = api.submitted(&author).await;
            let decided = decide(api, &id, &["reject", "approve", "approve"]).await;
            (json!(decided), json!("approved"), json!("validating"))
        }
        Bug::RejectionNotFinal => {
            let id = api.submitted(&author).await;
            let decided = decide(api, &id, &["reject", "reject"]).await;
            (json!(decided), json!("validating"), json!("rejected"))
        }
        Bug::ApprovalWithoutWorld => {
            let id = api.submitted(&author).await;
            assert_eq!(decide(api, &id, &["approve", "approve"]).await, "approved");
            let read = api.get(&format!("/proposals/{id}")).await;
            (
                json!(read["proposal"]["resulting_world_id"].is_null()),
                json!(true),
                json!(false),
            )
        }
        Bug::ApprovalTwoWorlds => {
            api.world(&author).await;
            (
                api.get("/worlds").await["total"].clone(),
                json!(2),
                json!(1),
            )
        }
        Bug::WorldOwnedByVoter => {
            let world = api.world(&author).await;
            let read = api.get(&format!("/worlds/{world}")).await;
            (
                json!(read["world"]["created_by"] == author.id.as_str()),
                json!(false),
                json!(true),
            )
        }
        _ => match society_slips::sequence(api, bug, &author, &other).await {
            Some(shown) => shown,
            None => world_slips::sequence(api, bug, &author, &other).await,
        },
    }
}

async fn second_vote(api: &Api, author: &Agent, other: &Agent, slip: u16) -> (Value, Value, Value) {
    let id = api.submitted(author).await;
    api.vote(other, &id, "strengthen").await;
    (
        json!(api.vote(other, &id, "strengthen").await.status),
        json!(slip),
        json!(400),
    )
}

async fn weaknesses(
    api: &Api,
    author: &Agent,
    other: &Agent,
    named: &[&str],
) -> (Value, Value, Value) {
    let id = api.submitted(author).await;
    let mut body = vote("approve");
    body["weaknesses"] = json!(named);
    let reply = api
        .post(other, &format!("/proposals/{id}/validate"), body)
        .await;
    (json!(reply.status), json!(200), json!(400))
}

/// The proposal's status after votes by as many new agents.
async fn decide(api: &Api, proposal: &str, verdicts: &[&str]) -> String {
    for (place, verdict) in verdicts.iter().enumerate() {
        let voter = api.agent_called(&format!("voter-{place}")).await;
        api.vote(&voter, proposal, verdict).await;
    }
    api.status(proposal).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bug_shows_and_only_when_it_is_on() {
    // A restart takes another test, and requests at the same time take those in `tests/races`.
    let shown = Bug::ALL
        .iter()
        .filter(|bug| **bug != Bug::RestartRepeatsKeys && !bug.needs_races());
    for bug in shown {
        for bugs in [&[][..], &[*bug]] {
            let api = Api::start(bugs).await;
            let (seen, slip, sound) = sequence(&api, *bug).await;
            let expected = if bugs.is_empty() { sound } else { slip };
            assert_eq!(seen, expected, "{bug} with {bugs:?}");
        }
    }
}

/// Bugs are independent: with all the others on that do not stand in its way, nothing panics, and the server serves.
#[tokio::test]
async fn all_bugs_at_once_still_serve() {
    let api = Api::start(Bug::ALL).await;
    let author = api.agent_called("author").await;
    let id = api.submitted(&author).await;
    assert_eq!(api.status(&id).await, "validating");
}

#[tokio::test]
async fn keys_repeat_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    for (bugs, after) in [(vec![], 200), (vec![Bug::RestartRepeatsKeys], 409)] {
        let database = folder.path().join(format!("{after}.sqlite"));
        for status in [200, after] {
            let api = Api::serve(Config {
                bugs: bugs.clone(),
                database: Some(database.display().to_string()),
                ..Config::default()
            })
            .await;
            let name = format!("agent-{:x}", rand::random::<u64>());
            assert_eq!(api.register(&name).await.status, status, "{bugs:?}");
            api.stop().await;
        }
    }
}

/// The sound twin of `duplicate_api_keys`: a registration that is sent again is answered with the account that it made.
#[tokio::test]
async fn a_derived_key_stays_with_its_account() {
    let api = Api::start_with(Keys::Derived).await;
    let (agent, again, other) = (
        api.agent_called("same").await,
        api.agent_called("same").await,
        api.agent_called("other").await,
    );
    assert_eq!((&agent.id, &agent.key), (&again.id, &again.key));
    assert_ne!(agent.key, other.key);
    assert_eq!(api.get_as(&agent, "/auth/me").await.status, 200);
}
