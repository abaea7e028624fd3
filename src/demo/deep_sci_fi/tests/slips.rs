//! Every planted bug, shown by a short sequence: what the sound server answers, and what the slip makes of it.

use reqwest::Method;
use serde_json::{Value, json};

use super::harness::{Agent, Api, dweller, proposal, text, vote, words};
use super::society_slips;
use super::{activity, dweller_proposals, events};
use super::{feedback, stories};
use crate::demo::deep_sci_fi::Bug;

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
            None => world_sequence(api, bug, &author, &other).await,
        },
    }
}

/// As [`sequence`], for the bugs that need a world with regions first.
async fn world_sequence(
    api: &Api,
    bug: Bug,
    author: &Agent,
    other: &Agent,
) -> (Value, Value, Value) {
    let world = api.settled(author).await;
    let refused = |status: u16, refusal: u16| (json!(status), json!(200), json!(refusal));
    match bug {
        Bug::CanonWithoutFallback => {
            let read = api.get(&format!("/worlds/{world}")).await;
            (
                read["world"]["canon_summary"].clone(),
                json!(null),
                json!(words(50)),
            )
        }
        Bug::RegionCaseSensitive => refused(api.region(author, &world, "DELTA").await.status, 400),
        Bug::DwellerNotCounted => {
            api.dweller(author, &world, "Ylva").await;
            let read = api.get(&format!("/worlds/{world}")).await;
            (read["world"]["dweller_count"].clone(), json!(0), json!(1))
        }
        Bug::BlockedNameParts => {
            let path = format!("/dwellers/worlds/{world}/dwellers");
            refused(
                api.post(author, &path, dweller("Ylva Chen")).await.status,
                400,
            )
        }
        Bug::SixthDweller => {
            for _ in 0..5 {
                api.inhabited(author, &world, "Ylva").await;
            }
            let sixth = api.dweller(author, &world, "Ylva").await;
            refused(api.claim(author, &sixth).await.status, 400)
        }
        Bug::ClaimInhabited => {
            let id = api.inhabited(author, &world, "Ylva").await;
            refused(api.claim(other, &id).await.status, 400)
        }
        Bug::ReleaseByAnyone => {
            let id = api.inhabited(author, &world, "Ylva").await;
            refused(
                api.post(other, &format!("/dwellers/{id}/release"), json!({}))
                    .await
                    .status,
                403,
            )
        }
        Bug::ReleaseKeepsInhabitant => {
            let id = api.inhabited(author, &world, "Ylva").await;
            api.done(author, &format!("/dwellers/{id}/release"), json!({}))
                .await;
            let read = api.read_dweller(&id).await;
            (
                json!(read["inhabited_by"].is_null()),
                json!(false),
                json!(true),
            )
        }
        Bug::ActByAnyone => {
            let id = api.inhabited(author, &world, "Ylva").await;
            let token = api.token(author, &id).await;
            let action = json!({ "context_token": token, "action_type": "rest", "content": "x" });
            refused(
                api.post(other, &format!("/dwellers/{id}/act"), action)
                    .await
                    .status,
                403,
            )
        }
        Bug::TokenNotChecked => {
            let id = api.inhabited(author, &world, "Ylva").await;
            let action = json!({ "context_token": world, "action_type": "rest", "content": "x" });
            refused(
                api.post(author, &format!("/dwellers/{id}/act"), action)
                    .await
                    .status,
                400,
            )
        }
        Bug::MoveNotStored => {
            let id = api.inhabited(author, &world, "Ylva").await;
            api.act(
                author,
                &id,
                json!({ "action_type": "move", "target": "Hills", "content": "x" }),
            )
            .await;
            (
                api.read_dweller(&id).await["current_region"].clone(),
                json!("Delta"),
                json!("Hills"),
            )
        }
        Bug::ReplyNotRequired => {
            let one = api.inhabited(author, &world, "Ylva").await;
            let two = api.inhabited(other, &world, "Osk").await;
            api.act(
                author,
                &one,
                json!({ "action_type": "speak", "target": "Osk", "content": "?" }),
            )
            .await;
            let past = json!({ "action_type": "speak", "target": "Ylva", "content": "!" });
            refused(api.act(other, &two, past).await.status, 400)
        }
        Bug::CoreRemoveIgnored => {
            let id = api.inhabited(author, &world, "Ylva").await;
            let path = format!("/dwellers/{id}/memory/core");
            api.patch(author, &path, json!({ "add": ["a", "b"] })).await;
            let after = api.patch(author, &path, json!({ "remove": ["a"] })).await;
            (
                after.body["core_memories"].clone(),
                json!(["a", "b"]),
                json!(["b"]),
            )
        }
        Bug::SituationWrittenToWorld => {
            let one = api.inhabited(author, &world, "Ylva").await;
            let two = api.dweller(author, &world, "Osk").await;
            api.patch(
                author,
                &format!("/dwellers/{one}/situation"),
                json!({ "situation": "wet" }),
            )
            .await;
            (
                api.read_dweller(&two).await["current_situation"].clone(),
                json!("wet"),
                json!(""),
            )
        }
        Bug::SituationWithoutKey => {
            let id = api.inhabited(author, &world, "Ylva").await;
            let request = api.request(Method::PATCH, &format!("/dwellers/{id}/situation"));
            refused(
                Api::send(request.json(&json!({ "situation": "wet" })))
                    .await
                    .status,
                401,
            )
        }
        Bug::PersonalityByAnyone => {
            let id = api.dweller(author, &world, "Ylva").await;
            let path = format!("/dwellers/{id}/memory/personality");
            refused(
                api.patch(other, &path, json!({ "updates": {} }))
                    .await
                    .status,
                403,
            )
        }
        Bug::AspectSubmitByAnyone => {
            let id = api.aspect(author, &world, "technology").await;
            refused(
                api.post(other, &format!("/aspects/{id}/submit"), json!({}))
                    .await
                    .status,
                403,
            )
        }
        Bug::AspectReviseHitsWorld => {
            let one = api.aspect(author, &world, "technology").await;
            let two = api.aspect(other, &world, "technology").await;
            api.done(
                author,
                &format!("/aspects/{one}/revise"),
                json!({ "title": "Other" }),
            )
            .await;
            (
                api.read_aspect(&two).await["title"].clone(),
                json!("Other"),
                json!("Salt glass"),
            )
        }
        Bug::AspectSelfValidation => {
            let id = api.submitted_aspect(author, &world, "technology").await;
            refused(api.review(author, &id, "strengthen").await.status, 400)
        }
        Bug::AspectWithoutSummary => {
            let id = api.submitted_aspect(author, &world, "technology").await;
            let bare = json!({ "verdict": "approve", "critique": words(20) });
            refused(
                api.post(other, &format!("/aspects/{id}/validate"), bare)
                    .await
                    .status,
                400,
            )
        }
        Bug::AspectGateIgnored => {
            let id = api.submitted_aspect(author, &world, "technology").await;
            api.review(other, &id, "strengthen").await;
            api.review(&api.agent_called("third").await, &id, "approve")
                .await;
            (
                api.read_aspect(&id).await["status"].clone(),
                json!("approved"),
                json!("validating"),
            )
        }
        Bug::AspectRejectionIgnored => {
            let id = api.submitted_aspect(author, &world, "technology").await;
            api.review(other, &id, "reject").await;
            (
                api.read_aspect(&id).await["status"].clone(),
                json!("validating"),
                json!("rejected"),
            )
        }
        Bug::AspectCanonNotUpdated => {
            let id = api.submitted_aspect(author, &world, "technology").await;
            api.review(other, &id, "approve").await;
            (
                api.canon(&world).await["canon_summary"].clone(),
                json!(words(50)),
                json!(words(60)),
            )
        }
        Bug::AspectRegionLost => {
            let id = api.submitted_aspect(author, &world, "region").await;
            api.review(other, &id, "approve").await;
            let regions = api.canon(&world).await["regions"].as_array().map(Vec::len);
            (json!(regions), json!(2), json!(3))
        }
        _ => {
            if let Some(shown) = dweller_proposals::sequence(api, bug, author, &world).await {
                return shown;
            }
            if let Some(shown) = activity::sequence(api, bug, author, other, &world).await {
                return shown;
            }
            if let Some(shown) = events::sequence(api, bug, author, other, &world).await {
                return shown;
            }
            panic!("no sequence shows {bug}")
        }
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
    for bug in Bug::ALL {
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
