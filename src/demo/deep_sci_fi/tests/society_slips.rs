//! What the planted bugs of accounts, following, comments, notifications, heartbeats, the feed and the platform show.

use serde_json::{Value, json};

use super::harness::{Agent, Api};
use super::society::encoded;
use crate::demo::deep_sci_fi::Bug;

/// As `slips::sequence`, for the bugs of these areas; none for the others.
pub async fn sequence(
    api: &Api,
    bug: Bug,
    author: &Agent,
    other: &Agent,
) -> Option<(Value, Value, Value)> {
    Some(match bug {
        Bug::CallbackUrlKept => {
            let url = "http://agent.example/news";
            api.patch(author, "/auth/me/callback", json!({ "callback_url": url }))
                .await;
            api.patch(author, "/auth/me/callback", json!({})).await;
            let me = api.me(author).await;
            (me["callback_url"].clone(), json!(url), json!(null))
        }
        Bug::CallbackTokenCleared => {
            let (token, url) = (json!({ "callback_token": "t" }), json!({}));
            api.patch(author, "/auth/me/callback", token).await;
            api.patch(author, "/auth/me/callback", url).await;
            let me = api.me(author).await;
            (me["callback_token_set"].clone(), json!(false), json!(true))
        }
        Bug::ProfileCountsVotesReceived => {
            let proposal = api.submitted(author).await;
            api.vote(other, &proposal, "approve").await;
            let profile = api.get(&format!("/agents/{}", other.id)).await;
            let given = profile["contributions"]["validations"].clone();
            (given, json!(0), json!(1))
        }
        Bug::PendingOfEveryone => {
            api.notified_author(author, other).await;
            let pending = api.notified(other, "pending").await;
            (json!(pending.len()), json!(1), json!(0))
        }
        Bug::PendingNotMarked => {
            api.notified_author(author, other).await;
            api.notified(author, "pending").await;
            let pending = api.notified(author, "pending").await;
            (json!(pending.len()), json!(1), json!(0))
        }
        Bug::PeekMarksRead => {
            api.notified_author(author, other).await;
            api.notified(author, "pending?mark_as_read=false").await;
            let pending = api.notified(author, "pending").await;
            (json!(pending.len()), json!(0), json!(1))
        }
        Bug::HistoryFilterInverted => {
            api.notified_author(author, other).await;
            let read = api.notified(author, "history?status=read").await;
            (json!(read.len()), json!(1), json!(0))
        }
        Bug::NotificationReadByAnyone => {
            let id = api.notified_author(author, other).await;
            let path = format!("/notifications/{id}/read");
            let read = api.post(other, &path, json!({})).await;
            (json!(read.status), json!(200), json!(403))
        }
        Bug::HeartbeatNotStored => {
            api.get_as(author, "/heartbeat").await;
            let never = api.me(author).await["last_heartbeat_at"].is_null();
            (json!(never), json!(true), json!(false))
        }
        Bug::HeartbeatReportsPresent => {
            let beat = api.get_as(author, "/heartbeat").await;
            let status = beat.body["activity"]["status"].clone();
            (status, json!("active"), json!("new"))
        }
        Bug::FeedLimitIgnored => {
            let feed = api.get("/feed?limit=1").await;
            let items = feed["items"].as_array().map(Vec::len);
            (json!(items), json!(3), json!(1))
        }
        Bug::FeedRepeatsLast => {
            let first = api.get("/feed?limit=1").await;
            let path = format!("/feed?limit=1&cursor={}", encoded(&first["next_cursor"]));
            let repeats = api.get(&path).await["items"][0]["id"] == first["items"][0]["id"];
            (json!(repeats), json!(true), json!(false))
        }
        Bug::ProcessByAnyone => {
            let path = "/platform/process-notifications";
            let processed = api.post(author, path, json!({})).await;
            (json!(processed.status), json!(200), json!(403))
        }
        _ => return world_sequence(api, bug, author, other).await,
    })
}

/// As [`sequence`], for the bugs that need a world.
async fn world_sequence(
    api: &Api,
    bug: Bug,
    author: &Agent,
    other: &Agent,
) -> Option<(Value, Value, Value)> {
    let world = match bug {
        Bug::SpeechNotNotified | Bug::AspectVoteNotNotified => api.settled(author).await,
        Bug::FollowCountedTwice
        | Bug::PreferencesNotStored
        | Bug::UnfollowNotCounted
        | Bug::UnfollowBelowZero
        | Bug::UnfollowForgetsAll
        | Bug::CommentNotCounted
        | Bug::CommentReactionTwice => api.world(author).await,
        _ => return None,
    };
    Some(match bug {
        Bug::AspectVoteNotNotified => {
            let id = api.submitted_aspect(author, &world, "technology").await;
            api.review(other, &id, "approve").await;
            let pending = api.notified(author, "pending").await;
            let is_told = pending.contains(&String::from("aspect_validated"));
            (json!(is_told), json!(false), json!(true))
        }
        Bug::SpeechNotNotified => {
            api.spoken(author, other, &world).await;
            let pending = api.notified(other, "pending?limit=1").await;
            let is_told = pending == ["dweller_spoken_to"];
            (json!(is_told), json!(false), json!(true))
        }
        Bug::FollowCountedTwice => {
            api.social(other, "follow", json!({}), &world).await;
            api.social(other, "follow", json!({}), &world).await;
            followers(api, &world, 2, 1).await
        }
        Bug::PreferencesNotStored => {
            api.social(other, "follow", json!({}), &world).await;
            let quiet = json!({ "notify": false });
            api.social(other, "follow", quiet, &world).await;
            let following = api.get_as(other, "/social/following").await;
            let notify = following.body["following"][0]["notify"].clone();
            (notify, json!(true), json!(false))
        }
        Bug::UnfollowNotCounted => {
            api.social(other, "follow", json!({}), &world).await;
            api.social(other, "unfollow", json!({}), &world).await;
            followers(api, &world, 1, 0).await
        }
        Bug::UnfollowBelowZero => {
            api.social(other, "unfollow", json!({}), &world).await;
            followers(api, &world, -1, 0).await
        }
        Bug::UnfollowForgetsAll => {
            let user = json!({ "target_type": "user" });
            api.social(other, "follow", json!({}), &world).await;
            api.social(other, "follow", user.clone(), &author.id).await;
            api.social(other, "unfollow", user, &author.id).await;
            let following = api.get_as(other, "/social/following").await;
            (following.body["count"].clone(), json!(0), json!(1))
        }
        Bug::CommentNotCounted => {
            let comment = json!({ "content": "" });
            api.social(other, "comment", comment, &world).await;
            let count = api.world_now(&world).await["comment_count"].clone();
            (count, json!(0), json!(1))
        }
        _ => {
            let comment = json!({ "content": "!", "reaction": "mind" });
            api.social(other, "comment", comment, &world).await;
            let count = api.world_now(&world).await["reaction_counts"]["mind"].clone();
            (count, json!(2), json!(1))
        }
    })
}

async fn followers(api: &Api, world: &str, slip: i64, sound: i64) -> (Value, Value, Value) {
    let count = api.world_now(world).await["follower_count"].clone();
    (count, json!(slip), json!(sound))
}
