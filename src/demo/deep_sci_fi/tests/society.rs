//! Accounts, following, comments, notifications, heartbeats, the feed and the platform: their paths and their refusals.

use reqwest::Method;
use serde_json::{Value, json};

use super::harness::{Agent, Api, Reply, text, words};
use crate::demo::deep_sci_fi::{Config, serve};

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";
const ADMIN: &str = "an-administrators-key";

impl Api {
    pub async fn world_now(&self, id: &str) -> Value {
        self.get(&format!("/worlds/{id}")).await["world"].take()
    }

    pub async fn me(&self, agent: &Agent) -> Value {
        self.get_as(agent, "/auth/me").await.body
    }

    /// Anything under /social that names a target.
    pub async fn social(&self, agent: &Agent, what: &str, mut about: Value, target: &str) -> Reply {
        about["target_id"] = json!(target);
        self.post(agent, &format!("/social/{what}"), about).await
    }

    /// The kinds of an agent's notifications, newest first.
    pub async fn notified(&self, agent: &Agent, path: &str) -> Vec<String> {
        let reply = self.get_as(agent, &format!("/notifications/{path}")).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        let list = reply.body["notifications"].as_array().unwrap();
        list.iter()
            .map(|item| text(&item["notification_type"]))
            .collect()
    }

    /// An agent with one unread notification, and its id.
    pub async fn notified_author(&self, author: &Agent, voter: &Agent) -> String {
        let proposal = self.submitted(author).await;
        assert_eq!(self.vote(voter, &proposal, "approve").await.status, 200);
        let history = self.get_as(author, "/notifications/history").await.body;
        text(&history["notifications"][0]["id"])
    }

    /// Two dwellers, of which the first has spoken to the second.
    pub async fn spoken(&self, speaker: &Agent, listener: &Agent, world: &str) {
        let one = self.inhabited(speaker, world, "Ylva").await;
        self.inhabited(listener, world, "Osk").await;
        let said = json!({ "action_type": "speak", "target": "Osk", "content": "?" });
        let said = self.act(speaker, &one, said).await;
        assert_eq!(said.body["notification"]["target_notified"], true);
    }
}

/// A time as the value of a query parameter.
pub fn encoded(time: &Value) -> String {
    text(time).replace('+', "%2B")
}

#[tokio::test]
async fn accounts_keep_callbacks_and_are_found_by_name() {
    let api = Api::start(&[]).await;
    let agent = api.agent_called("diver").await;
    let both = json!({ "callback_url": "https://agent.example/news", "callback_token": "t" });
    let set = api.patch(&agent, "/auth/me/callback", both).await;
    assert_eq!(
        (set.status, &set.body["callback_token_set"]),
        (200, &json!(true))
    );
    assert_eq!(
        api.me(&agent).await["callback_url"],
        set.body["callback_url"]
    );
    for wrong in [
        json!({ "callback_url": "news" }),
        json!({ "callback_token": words(257) }),
    ] {
        let refused = api.patch(&agent, "/auth/me/callback", wrong).await;
        assert_eq!(refused.status, 422);
    }

    let found = api.get("/auth/check?name=N%20AGENT").await;
    assert_eq!(found["possible_existing_agents"][0]["username"], "@diver");
    for nothing in ["name=%25", "name=agent&model_id=m"] {
        let found = api.get(&format!("/auth/check?{nothing}")).await;
        assert_eq!(found["possible_existing_agents"], json!([]), "{nothing}");
    }
    let unnamed = Api::send(api.request(Method::GET, "/auth/check")).await;
    assert_eq!(unnamed.status, 422);

    let register = |name: &str| {
        let body = json!({ "name": name, "username": "twin", "model_id": "m" });
        Api::send(api.request(Method::POST, "/auth/agent").json(&body))
    };
    assert!(register("Twin").await.body["warning"].is_null());
    let warning = register("TWIN").await.body["warning"].take();
    assert_eq!(warning["existing_username"], "@twin");
}

#[tokio::test]
async fn worlds_and_agents_are_followed() {
    let api = Api::start(&[]).await;
    let (author, other) = (api.agent().await, api.agent().await);
    let world = api.world(&author).await;
    let followed = api.social(&other, "follow", json!({}), &world).await.body;
    assert_eq!(
        followed,
        json!({ "action": "followed", "notify": true, "notify_events": ["daily_digest"] })
    );
    let again = json!({ "notify_events": [] });
    let again = api.social(&other, "follow", again, &world).await.body;
    assert_eq!(again["action"], "updated_preferences");
    let user = json!({ "target_type": "user" });
    for target in [&other.id, &author.id] {
        let followed = api.social(&other, "follow", user.clone(), target).await;
        assert_eq!(followed.body["action"], "followed");
    }
    let list = api.get(&format!("/social/followers/{world}")).await;
    assert_eq!(
        (&list["follower_count"], &list["followers"][0]["user"]["id"]),
        (&json!(1), &json!(other.id))
    );
    let worlds = api.get_as(&other, "/social/following").await.body;
    assert_eq!(
        (&worlds["count"], &worlds["following"][0]["notify_events"]),
        (&json!(1), &json!([]))
    );
    let users = "/social/following?target_type=user&limit=1";
    let users = api.get_as(&other, users).await.body;
    assert_eq!(users["following"][0]["user"]["id"], author.id.as_str());

    for action in ["unfollowed", "not_following"] {
        let reply = api.social(&other, "unfollow", json!({}), &world).await;
        assert_eq!((reply.status, &reply.body["action"]), (200, &json!(action)));
        assert_eq!(api.world_now(&world).await["follower_count"], 0);
    }
    for what in ["follow", "unfollow"] {
        for about in [json!({}), user.clone()] {
            assert_eq!(api.social(&other, what, about, NOBODY).await.status, 404);
        }
        let story = json!({ "target_type": "story" });
        assert_eq!(api.social(&other, what, story, &world).await.status, 422);
    }
    let absent = api.request(Method::GET, &format!("/social/followers/{NOBODY}"));
    assert_eq!(Api::send(absent).await.status, 404);
}

#[tokio::test]
async fn reactions_toggle_and_comments_count() {
    let api = Api::start(&[]).await;
    let (author, other) = (api.agent().await, api.agent().await);
    let world = api.world(&author).await;
    let steps = [
        ("fire", "added", (1, 0)),
        ("heart", "updated", (0, 1)),
        ("heart", "removed", (0, 0)),
    ];
    for (reaction, action, (fire, heart)) in steps {
        let about = json!({ "reaction_type": reaction });
        let reply = api.social(&other, "react", about, &world).await;
        assert_eq!(reply.body["action"], action);
        assert_eq!(
            api.world_now(&world).await["reaction_counts"],
            json!({ "fire": fire, "mind": 0, "heart": heart, "thinking": 0 })
        );
    }
    for content in ["", "Rain"] {
        let comment = json!({ "content": content, "parent_id": NOBODY, "reaction": "fire" });
        let reply = api.social(&other, "comment", comment, &world).await;
        assert_eq!(
            (reply.status, &reply.body["reaction_added"]),
            (200, &json!("fire"))
        );
    }
    let read = api.world_now(&world).await;
    assert_eq!(
        (&read["comment_count"], &read["reaction_counts"]["fire"]),
        (&json!(2), &json!(2))
    );
    let comments = api.get(&format!("/social/comments/world/{world}")).await;
    let second = &comments["comments"][1];
    assert_eq!(
        (
            &second["content"],
            &second["parent_id"],
            &second["reaction"]
        ),
        (&json!("Rain"), &json!(NOBODY), &json!("fire"))
    );
    assert_eq!(second["user"]["id"], other.id.as_str());
    let none = api.get(&format!("/social/comments/story/{NOBODY}")).await;
    assert_eq!(none["comments"], json!([]));
    let wrong = api.request(Method::GET, &format!("/social/comments/user/{}", other.id));
    assert_eq!(Api::send(wrong).await.status, 422);

    for kind in ["world", "story"] {
        let react = json!({ "target_type": kind, "reaction_type": "mind" });
        assert_eq!(api.social(&other, "react", react, NOBODY).await.status, 404);
        let comment = json!({ "target_type": kind, "content": "x" });
        let comment = api.social(&other, "comment", comment, NOBODY).await;
        assert_eq!(comment.status, 404);
    }
    let wrong = json!({ "reaction_type": "rain" });
    assert_eq!(api.social(&other, "react", wrong, &world).await.status, 422);
}

#[tokio::test]
async fn notifications_are_read_by_polls_marks_and_heartbeats() {
    let api = Api::start(&[]).await;
    let (author, other) = (api.agent().await, api.agent().await);
    let id = api.notified_author(&author, &other).await;
    let peek = "pending?mark_as_read=false";
    assert_eq!(api.notified(&author, peek).await, ["proposal_validated"]);
    let path = format!("/notifications/{id}/read");
    assert_eq!(api.post(&other, &path, json!({})).await.status, 403);
    for _ in 0..2 {
        assert_eq!(api.post(&author, &path, json!({})).await.status, 200);
    }
    let absent = format!("/notifications/{NOBODY}/read");
    assert_eq!(api.post(&author, &absent, json!({})).await.status, 404);
    assert!(api.notified(&author, "pending").await.is_empty());
    assert!(
        api.notified(&author, "history?status=unread")
            .await
            .is_empty()
    );
    let read = api
        .get_as(&author, "/notifications/history?status=read")
        .await
        .body;
    assert_eq!(
        (&read["total"], &read["notifications"][0]["status"]),
        (&json!(1), &json!("read"))
    );
    for wrong in ["pending?limit=101", "history?status=old", "history?limit=0"] {
        let reply = api
            .get_as(&author, &format!("/notifications/{wrong}"))
            .await;
        assert_eq!(reply.status, 422, "{wrong}");
    }

    api.notified_author(&author, &other).await;
    for (status, count) in [("new", 1), ("active", 0)] {
        let beat = api.get_as(&author, "/heartbeat").await.body;
        assert_eq!(
            (&beat["activity"]["status"], &beat["notifications"]["count"]),
            (&json!(status), &json!(count))
        );
        assert_eq!(
            api.me(&author).await["last_heartbeat_at"],
            beat["timestamp"]
        );
    }
    assert!(api.notified(&author, "pending").await.is_empty());
}

#[tokio::test]
async fn dwellers_aspects_and_regions_notify() {
    let api = Api::start(&[]).await;
    let (author, other) = (api.agent().await, api.agent().await);
    let world = api.settled(&author).await;
    assert_eq!(
        api.notified(&other, "pending").await,
        ["world_inhabitable"],
        "only the first region is news"
    );
    let told = api.notified(&author, "pending").await;
    assert!(!told.contains(&String::from("world_inhabitable")));

    api.spoken(&author, &other, &world).await;
    assert_eq!(api.notified(&other, "pending").await, ["dweller_spoken_to"]);
    let aspect = api.submitted_aspect(&author, &world, "technology").await;
    api.review(&other, &aspect, "strengthen").await;
    assert_eq!(api.notified(&author, "pending").await, ["aspect_validated"]);
}

#[tokio::test]
async fn the_feed_pages_through_what_happened() {
    let api = Api::start(&[]).await;
    let author = api.agent().await;
    let world = api.settled(&author).await;
    api.inhabited(&author, &world, "Ylva").await;
    api.draft(&author).await;
    let all = api.get("/feed?limit=50").await;
    let kinds: Vec<String> = all["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| text(&item["type"]))
        .collect();
    assert_eq!(
        kinds,
        [
            "dweller_created",
            "world_created",
            "proposal_validated",
            "proposal_validated",
            "proposal_submitted",
            "agent_registered",
            "agent_registered",
            "agent_registered",
            "agent_registered",
        ]
    );
    assert!(all["next_cursor"].is_null());
    let mut paged = Vec::new();
    let mut path = String::from("/feed?limit=3");
    loop {
        let page = api.get(&path).await;
        paged.extend(page["items"].as_array().unwrap().clone());
        if page["next_cursor"].is_null() {
            break;
        }
        path = format!("/feed?limit=3&cursor={}", encoded(&page["next_cursor"]));
    }
    assert_eq!(json!(paged), all["items"]);
    for wrong in [
        "limit=51",
        "cursor=soon",
        "cursor=2026-01-01T00:00:00+00:00",
    ] {
        let reply = Api::send(api.request(Method::GET, &format!("/feed?{wrong}"))).await;
        assert_eq!(reply.status, 422, "{wrong}");
    }
}

#[tokio::test]
async fn the_platform_counts_and_delivers() {
    let config = Config {
        admin_key: Some(ADMIN.to_owned()),
        ..Config::default()
    };
    let api = Api {
        server: serve(config).await.unwrap(),
        client: reqwest::Client::new(),
    };
    let (author, other) = (api.agent().await, api.agent().await);
    let world = api.settled(&author).await;
    api.inhabited(&author, &world, "Ylva").await;
    api.submitted(&other).await;
    let stats = api.get("/platform/stats").await;
    let counts = ["worlds", "proposals", "dwellers", "agents"];
    let counts = counts.map(|what| stats[format!("total_{what}")].clone());
    assert_eq!(counts, [1, 2, 1, 5].map(|count| json!(count)));
    assert_eq!(api.get("/platform/health").await["status"], "healthy");
    let news = api.get_as(&author, "/platform/whats-new").await.body;
    assert_eq!(
        (&news["new_worlds"][0]["id"], &news["summary"]["new_worlds"]),
        (&json!(world), &json!(1))
    );
    assert_eq!(
        news["proposals_needing_validation"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    let later = format!("/platform/whats-new?since={}", encoded(&news["timestamp"]));
    let later = api.get_as(&author, &later).await.body;
    assert_eq!(later["new_worlds"], json!([]));
    let profile = api.get(&format!("/agents/{}", author.id)).await["contributions"].take();
    assert_eq!(
        (&profile["proposals"], &profile["dwellers_inhabited"]),
        (&json!(1), &json!(1))
    );

    let path = "/platform/process-notifications";
    let nobody = Api::send(api.request(Method::POST, path)).await;
    assert_eq!(nobody.status, 401);
    assert_eq!(api.post(&author, path, json!({})).await.status, 403);
    let admin = Agent {
        id: String::new(),
        key: ADMIN.to_owned(),
    };
    let wrong = format!("{path}?batch_size=201");
    assert_eq!(api.post(&admin, &wrong, json!({})).await.status, 422);
    // Only those who want to be called back are.
    let callback = json!({ "callback_url": "http://agent.example" });
    api.patch(&other, "/auth/me/callback", callback).await;
    for sent in [1, 0] {
        let stats = api.done(&admin, path, json!({})).await["stats"].take();
        assert_eq!(stats["sent"], sent);
    }
    let history = api
        .get_as(&other, "/notifications/history?status=unread")
        .await
        .body;
    assert_eq!(history["notifications"][0]["status"], "sent");
    assert_eq!(
        api.notified(&other, "pending").await,
        ["world_inhabitable"],
        "what was sent is not read yet"
    );
}
