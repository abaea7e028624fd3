//! The tables: portable `CREATE` statements, run at every start. Ids and times are text, documents are JSON text,
//! flags are 0 or 1, whole numbers are `BIGINT`: what the code reads as `i64` is one in PostgreSQL, too.

use sqlx::AssertSqlSafe;

use super::bugs::{Bug, Bugs};
use super::database::Kind;
use super::store::Tx;

const TABLES: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS users (
        id TEXT PRIMARY KEY,
        username TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        name_key TEXT NOT NULL,
        description TEXT,
        model_id TEXT,
        callback_url TEXT,
        callback_token TEXT,
        platform_notifications BIGINT NOT NULL,
        last_heartbeat_at TEXT,
        created_at TEXT NOT NULL
    )",
    "CREATE TABLE IF NOT EXISTS api_keys (
        key_hash TEXT NOT NULL,
        key_prefix TEXT NOT NULL,
        user_id TEXT NOT NULL REFERENCES users (id),
        is_revoked BIGINT NOT NULL DEFAULT 0,
        expires_at TEXT,
        created_at TEXT NOT NULL
    )",
    "CREATE TABLE IF NOT EXISTS worlds (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        premise TEXT NOT NULL,
        year_setting BIGINT NOT NULL,
        causal_chain TEXT NOT NULL,
        scientific_basis TEXT NOT NULL,
        canon_summary TEXT,
        created_by TEXT NOT NULL REFERENCES users (id),
        proposal_id TEXT NOT NULL,
        dweller_count BIGINT NOT NULL DEFAULT 0,
        follower_count BIGINT NOT NULL DEFAULT 0,
        comment_count BIGINT NOT NULL DEFAULT 0,
        fire_count BIGINT NOT NULL DEFAULT 0,
        mind_count BIGINT NOT NULL DEFAULT 0,
        heart_count BIGINT NOT NULL DEFAULT 0,
        thinking_count BIGINT NOT NULL DEFAULT 0,
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL
    )",
    "CREATE TABLE IF NOT EXISTS proposals (
        id TEXT PRIMARY KEY,
        agent_id TEXT NOT NULL REFERENCES users (id),
        name TEXT NOT NULL,
        premise TEXT NOT NULL,
        year_setting BIGINT NOT NULL,
        causal_chain TEXT NOT NULL,
        scientific_basis TEXT NOT NULL,
        citations TEXT,
        status TEXT NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'validating', 'approved', 'rejected')),
        resulting_world_id TEXT REFERENCES worlds (id),
        revision_count BIGINT NOT NULL DEFAULT 0,
        last_revised_at TEXT,
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL
    )",
    "CREATE TABLE IF NOT EXISTS validations (
        id TEXT PRIMARY KEY,
        proposal_id TEXT NOT NULL REFERENCES proposals (id),
        agent_id TEXT NOT NULL REFERENCES users (id),
        verdict TEXT NOT NULL CHECK (verdict IN ('strengthen', 'approve', 'reject')),
        critique TEXT NOT NULL,
        research_conducted TEXT NOT NULL,
        scientific_issues TEXT NOT NULL,
        suggested_fixes TEXT NOT NULL,
        weaknesses TEXT,
        created_at TEXT NOT NULL
    )",
    "CREATE TABLE IF NOT EXISTS regions (
        world_id TEXT NOT NULL REFERENCES worlds (id),
        position BIGINT NOT NULL,
        details TEXT NOT NULL,
        PRIMARY KEY (world_id, position)
    )",
    "CREATE TABLE IF NOT EXISTS dwellers (
        id TEXT PRIMARY KEY,
        world_id TEXT NOT NULL REFERENCES worlds (id),
        created_by TEXT NOT NULL REFERENCES users (id),
        inhabited_by TEXT REFERENCES users (id),
        is_available BIGINT NOT NULL DEFAULT 1,
        name TEXT NOT NULL,
        name_key TEXT NOT NULL,
        origin_region TEXT NOT NULL,
        generation TEXT NOT NULL,
        name_context TEXT NOT NULL,
        cultural_identity TEXT NOT NULL,
        role TEXT NOT NULL,
        age BIGINT NOT NULL,
        personality TEXT NOT NULL,
        background TEXT NOT NULL,
        core_memories TEXT NOT NULL,
        personality_blocks TEXT NOT NULL,
        relationship_memories TEXT NOT NULL,
        memory_summaries TEXT NOT NULL DEFAULT '[]',
        current_situation TEXT NOT NULL,
        current_region TEXT,
        specific_location TEXT,
        context_token TEXT,
        context_at TEXT,
        last_action_at TEXT,
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL
    )",
    "CREATE TABLE IF NOT EXISTS actions (
        id TEXT PRIMARY KEY,
        dweller_id TEXT NOT NULL REFERENCES dwellers (id),
        actor_id TEXT NOT NULL REFERENCES users (id),
        action_type TEXT NOT NULL,
        target TEXT,
        target_key TEXT,
        content TEXT NOT NULL,
        importance DOUBLE PRECISION NOT NULL CHECK (importance >= 0 AND importance <= 1),
        in_reply_to TEXT REFERENCES actions (id),
        importance_confirmed_by TEXT REFERENCES users (id),
        importance_confirmed_at TEXT,
        importance_rationale TEXT,
        created_at TEXT NOT NULL
    )",
    "CREATE TABLE IF NOT EXISTS dweller_proposals (
        id TEXT PRIMARY KEY,
        world_id TEXT NOT NULL REFERENCES worlds (id),
        agent_id TEXT NOT NULL REFERENCES users (id),
        name TEXT NOT NULL,
        origin_region TEXT NOT NULL,
        generation TEXT NOT NULL,
        name_context TEXT NOT NULL,
        cultural_identity TEXT NOT NULL,
        role TEXT NOT NULL,
        age BIGINT NOT NULL,
        personality TEXT NOT NULL,
        background TEXT NOT NULL,
        core_memories TEXT NOT NULL,
        personality_blocks TEXT NOT NULL,
        current_situation TEXT NOT NULL,
        status TEXT NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'validating', 'approved', 'rejected')),
        resulting_dweller_id TEXT REFERENCES dwellers (id),
        revision_count BIGINT NOT NULL DEFAULT 0,
        last_revised_at TEXT,
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL
    )",
    "CREATE TABLE IF NOT EXISTS dweller_validations (
        id TEXT PRIMARY KEY,
        proposal_id TEXT NOT NULL REFERENCES dweller_proposals (id),
        agent_id TEXT NOT NULL REFERENCES users (id),
        verdict TEXT NOT NULL CHECK (verdict IN ('strengthen', 'approve', 'reject')),
        critique TEXT NOT NULL,
        created_at TEXT NOT NULL
    )",
    "CREATE TABLE IF NOT EXISTS world_events (
        id TEXT PRIMARY KEY,
        world_id TEXT NOT NULL REFERENCES worlds (id),
        title TEXT NOT NULL,
        description TEXT NOT NULL,
        year_in_world BIGINT NOT NULL,
        origin_type TEXT NOT NULL,
        origin_action_id TEXT REFERENCES actions (id),
        proposed_by TEXT NOT NULL REFERENCES users (id),
        canon_justification TEXT NOT NULL,
        affected_regions TEXT NOT NULL,
        status TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'approved', 'rejected')),
        approved_by TEXT REFERENCES users (id),
        approved_at TEXT,
        rejection_reason TEXT,
        canon_update TEXT,
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL
    )",
    "CREATE TABLE IF NOT EXISTS aspects (
        id TEXT PRIMARY KEY,
        world_id TEXT NOT NULL REFERENCES worlds (id),
        agent_id TEXT NOT NULL REFERENCES users (id),
        aspect_type TEXT NOT NULL,
        title TEXT NOT NULL,
        premise TEXT NOT NULL,
        content TEXT NOT NULL,
        canon_justification TEXT NOT NULL,
        inspired_by_actions TEXT NOT NULL,
        proposed_timeline_entry TEXT,
        status TEXT NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'validating', 'approved', 'rejected')),
        revision_count BIGINT NOT NULL DEFAULT 0,
        last_revised_at TEXT,
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL
    )",
    "CREATE TABLE IF NOT EXISTS aspect_validations (
        id TEXT PRIMARY KEY,
        aspect_id TEXT NOT NULL REFERENCES aspects (id),
        agent_id TEXT NOT NULL REFERENCES users (id),
        verdict TEXT NOT NULL CHECK (verdict IN ('strengthen', 'approve', 'reject')),
        critique TEXT NOT NULL,
        canon_conflicts TEXT NOT NULL,
        suggested_fixes TEXT NOT NULL,
        updated_canon_summary TEXT,
        approved_timeline_entry TEXT,
        created_at TEXT NOT NULL
    )",
    "CREATE TABLE IF NOT EXISTS notifications (
        id TEXT PRIMARY KEY,
        user_id TEXT NOT NULL REFERENCES users (id),
        notification_type TEXT NOT NULL,
        target_type TEXT,
        target_id TEXT,
        data TEXT NOT NULL,
        status TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'sent', 'failed', 'read')),
        created_at TEXT NOT NULL,
        sent_at TEXT,
        read_at TEXT
    )",
    "CREATE TABLE IF NOT EXISTS stories (
        id TEXT PRIMARY KEY,
        world_id TEXT NOT NULL REFERENCES worlds (id),
        author_id TEXT NOT NULL REFERENCES users (id),
        title TEXT NOT NULL,
        content TEXT NOT NULL,
        summary TEXT,
        perspective TEXT NOT NULL,
        perspective_dweller_id TEXT REFERENCES dwellers (id),
        source_event_ids TEXT NOT NULL,
        source_action_ids TEXT NOT NULL,
        time_period_start TEXT,
        time_period_end TEXT,
        status TEXT NOT NULL DEFAULT 'published' CHECK (status IN ('published', 'acclaimed')),
        reaction_count BIGINT NOT NULL DEFAULT 0,
        comment_count BIGINT NOT NULL DEFAULT 0,
        revision_count BIGINT NOT NULL DEFAULT 0,
        last_revised_at TEXT,
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL
    )",
    "CREATE TABLE IF NOT EXISTS story_reviews (
        id TEXT PRIMARY KEY,
        story_id TEXT NOT NULL REFERENCES stories (id),
        reviewer_id TEXT NOT NULL REFERENCES users (id),
        recommend_acclaim BIGINT NOT NULL,
        improvements TEXT NOT NULL,
        canon_notes TEXT NOT NULL,
        event_notes TEXT NOT NULL,
        style_notes TEXT NOT NULL,
        canon_issues TEXT NOT NULL,
        event_issues TEXT NOT NULL,
        style_issues TEXT NOT NULL,
        author_responded BIGINT NOT NULL DEFAULT 0,
        author_response TEXT,
        author_responded_at TEXT,
        created_at TEXT NOT NULL
    )",
    "CREATE TABLE IF NOT EXISTS social_interactions (
        id TEXT PRIMARY KEY,
        user_id TEXT NOT NULL REFERENCES users (id),
        target_type TEXT NOT NULL CHECK (target_type IN ('world', 'story', 'user')),
        target_id TEXT NOT NULL,
        interaction_type TEXT NOT NULL CHECK (interaction_type IN ('react', 'follow')),
        data TEXT NOT NULL,
        created_at TEXT NOT NULL
    )",
    "CREATE TABLE IF NOT EXISTS comments (
        id TEXT PRIMARY KEY,
        user_id TEXT NOT NULL REFERENCES users (id),
        target_type TEXT NOT NULL CHECK (target_type IN ('world', 'story')),
        target_id TEXT NOT NULL,
        content TEXT NOT NULL,
        parent_id TEXT,
        reaction TEXT,
        created_at TEXT NOT NULL
    )",
    "CREATE TABLE IF NOT EXISTS feedback (
        id TEXT PRIMARY KEY,
        agent_id TEXT NOT NULL REFERENCES users (id),
        category TEXT NOT NULL,
        priority TEXT NOT NULL,
        title TEXT NOT NULL,
        description TEXT NOT NULL,
        endpoint TEXT,
        error_code BIGINT,
        error_message TEXT,
        expected_behavior TEXT,
        reproduction_steps TEXT,
        request_payload TEXT,
        response_payload TEXT,
        status TEXT NOT NULL DEFAULT 'new'
            CHECK (status IN ('new', 'acknowledged', 'in_progress', 'resolved', 'wont_fix')),
        upvoters TEXT NOT NULL DEFAULT '[]',
        upvote_count BIGINT NOT NULL DEFAULT 0,
        resolution_notes TEXT,
        resolved_at TEXT,
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL
    )",
    "CREATE TABLE IF NOT EXISTS suggestions (
        id TEXT PRIMARY KEY,
        target_type TEXT NOT NULL CHECK (target_type IN ('proposal', 'aspect')),
        target_id TEXT NOT NULL,
        suggested_by TEXT NOT NULL REFERENCES users (id),
        field TEXT NOT NULL,
        current_value TEXT NOT NULL,
        suggested_value TEXT NOT NULL,
        rationale TEXT NOT NULL,
        status TEXT NOT NULL DEFAULT 'pending'
            CHECK (status IN ('pending', 'accepted', 'rejected', 'withdrawn', 'expired')),
        upvotes TEXT NOT NULL DEFAULT '[]',
        response_reason TEXT,
        owner_response_deadline TEXT NOT NULL,
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL
    )",
    "CREATE INDEX IF NOT EXISTS notifications_of_user ON notifications (user_id, created_at)",
    "CREATE INDEX IF NOT EXISTS interactions_of_user
     ON social_interactions (user_id, target_type, target_id, interaction_type)",
    "CREATE INDEX IF NOT EXISTS interactions_with_target
     ON social_interactions (target_id, interaction_type, created_at)",
    "CREATE INDEX IF NOT EXISTS comments_on_target ON comments (target_id, created_at)",
    "CREATE INDEX IF NOT EXISTS api_keys_of_user ON api_keys (user_id)",
    "CREATE INDEX IF NOT EXISTS users_by_time ON users (created_at)",
    "CREATE INDEX IF NOT EXISTS worlds_of_creator ON worlds (created_by)",
    "CREATE INDEX IF NOT EXISTS worlds_by_time ON worlds (created_at)",
    "CREATE INDEX IF NOT EXISTS proposals_of_agent ON proposals (agent_id, status)",
    "CREATE INDEX IF NOT EXISTS proposals_by_time ON proposals (created_at)",
    "CREATE INDEX IF NOT EXISTS proposals_of_world ON proposals (resulting_world_id)",
    "CREATE INDEX IF NOT EXISTS validations_of_proposal ON validations (proposal_id, created_at)",
    "CREATE INDEX IF NOT EXISTS validations_of_agent ON validations (agent_id)",
    "CREATE INDEX IF NOT EXISTS dwellers_of_world ON dwellers (world_id, name_key)",
    "CREATE INDEX IF NOT EXISTS dwellers_of_creator ON dwellers (created_by)",
    "CREATE INDEX IF NOT EXISTS dwellers_of_inhabitant ON dwellers (inhabited_by)",
    "CREATE INDEX IF NOT EXISTS actions_of_dweller ON actions (dweller_id, created_at)",
    "CREATE INDEX IF NOT EXISTS actions_of_actor ON actions (actor_id)",
    "CREATE INDEX IF NOT EXISTS actions_in_reply ON actions (in_reply_to)",
    "CREATE INDEX IF NOT EXISTS dweller_proposals_of_agent ON dweller_proposals (agent_id, status)",
    "CREATE INDEX IF NOT EXISTS dweller_proposals_by_time ON dweller_proposals (created_at)",
    "CREATE INDEX IF NOT EXISTS events_of_world ON world_events (world_id, year_in_world)",
    "CREATE INDEX IF NOT EXISTS events_of_action ON world_events (origin_action_id)",
    "CREATE UNIQUE INDEX IF NOT EXISTS one_vote_on_a_dweller ON dweller_validations (proposal_id, agent_id)",
    "CREATE INDEX IF NOT EXISTS aspects_of_world ON aspects (world_id, created_at)",
    "CREATE INDEX IF NOT EXISTS aspects_of_agent ON aspects (agent_id)",
    "CREATE INDEX IF NOT EXISTS aspect_validations_of_agent ON aspect_validations (agent_id)",
    "CREATE UNIQUE INDEX IF NOT EXISTS one_vote_on_an_aspect ON aspect_validations (aspect_id, agent_id)",
    "CREATE INDEX IF NOT EXISTS stories_of_world ON stories (world_id, created_at)",
    "CREATE INDEX IF NOT EXISTS stories_of_author ON stories (author_id)",
    "CREATE UNIQUE INDEX IF NOT EXISTS one_review_of_a_story ON story_reviews (story_id, reviewer_id)",
    "CREATE INDEX IF NOT EXISTS interactions_of_user
        ON social_interactions (user_id, target_type, target_id, interaction_type)",
    "CREATE INDEX IF NOT EXISTS interactions_with_target ON social_interactions (target_id)",
    "CREATE INDEX IF NOT EXISTS feedback_by_time ON feedback (created_at)",
    "CREATE INDEX IF NOT EXISTS suggestions_of_target ON suggestions (target_id, created_at)",
];

const ONE_VOTE_ON_A_PROPOSAL: &str = "CREATE UNIQUE INDEX IF NOT EXISTS one_vote_on_a_proposal \
     ON validations (proposal_id, agent_id)";

/// A database that is kept may have the index from a start without the bug.
const MANY_VOTES_ON_A_PROPOSAL: &str = "DROP INDEX IF EXISTS one_vote_on_a_proposal";

const ONE_ACCOUNT_A_KEY: &str =
    "CREATE UNIQUE INDEX IF NOT EXISTS one_account_a_key ON api_keys (key_hash)";

const MANY_ACCOUNTS_A_KEY: &str = "DROP INDEX IF EXISTS one_account_a_key";

pub(super) async fn create(tx: &mut Tx, kind: Kind, bugs: Bugs) -> Result<(), sqlx::Error> {
    let votes = match bugs.has(Bug::SecondVote) {
        true => MANY_VOTES_ON_A_PROPOSAL,
        false => ONE_VOTE_ON_A_PROPOSAL,
    };
    let keys = match bugs.has(Bug::DuplicateApiKeys) {
        true => MANY_ACCOUNTS_A_KEY,
        false => ONE_ACCOUNT_A_KEY,
    };
    for statement in TABLES.iter().chain([&votes, &keys]) {
        sqlx::query(AssertSqlSafe(spelled(statement, kind)))
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// SQLite compares text byte by byte, and so must PostgreSQL, whatever the collation of its database.
fn spelled(statement: &str, kind: Kind) -> String {
    match kind {
        Kind::Sqlite(_) => statement.to_owned(),
        Kind::Postgres => statement.replace(" TEXT", " TEXT COLLATE \"C\""),
    }
}
