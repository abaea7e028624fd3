//! What the planted bugs of peopled worlds show: of regions, dwellers, what they do and remember, and aspects.

use reqwest::Method;
use serde_json::{Value, json};

use super::harness::{Agent, Api, dweller, words};
use super::{activity, dweller_proposals, events};
use crate::demo::deep_sci_fi::Bug;

/// As `slips::sequence`, for all the bugs that need a world with regions first.
pub async fn sequence(api: &Api, bug: Bug, author: &Agent, other: &Agent) -> (Value, Value, Value) {
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
