//! The planted slips. Each is one plausible mistake in SQL or code, made at the place where it would be made, with
//! exactly one effect, and independent of the others. A plain sequence of requests shows every one of them, except for
//! those that take requests which fail on their way, and for the races: those take requests at the same time.

use std::fmt;
use std::str::FromStr;

/// Names that resemble an unknown one at least this much (Jaro–Winkler) are worth suggesting.
const RESEMBLANCE: f64 = 0.75;

/// No bug goes by this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no planted bug is called `{name}`{}", suggestion(nearest))]
pub struct UnknownBug {
    /// The name that was asked for.
    pub name: String,
    /// The most similar names, best first; empty when nothing comes close.
    pub nearest: Vec<&'static str>,
}

fn suggestion(nearest: &[&str]) -> String {
    if nearest.is_empty() {
        String::from("; `gainsay demo --list` lists them")
    } else {
        format!("; did you mean `{}`?", nearest.join("`, `"))
    }
}

macro_rules! bugs {
    ({ $($bug:ident = $name:literal: $about:literal;)+ } races { $($race:ident = $race_name:literal: $race_about:literal;)+ }) => {
        /// A planted bug: off unless listed in [`Config::bugs`](super::Config::bugs).
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Bug {
            $(#[doc = $about] $bug,)+
            $(#[doc = $race_about] $race,)+
        }

        impl Bug {
            /// Every planted bug, by area.
            pub const ALL: &'static [Bug] = &[$(Bug::$bug,)+ $(Bug::$race,)+];

            /// Those that only show when different agents' requests are served at the same time, and not in any
            /// sequence of requests.
            pub const RACES: &'static [Bug] = &[$(Bug::$race,)+];

            /// Whether it only shows when something fails: requests on their way, so that clients send them again, or the
            /// server, so that it is started again.
            pub fn needs_faults(self) -> bool {
                matches!(self, Bug::DuplicateApiKeys | Bug::RestartRepeatsKeys)
            }

            /// Whether no sequence of requests shows it: see [`RACES`](Self::RACES).
            pub fn needs_races(self) -> bool {
                Self::RACES.contains(&self)
            }

            /// The switch's name, in snake case.
            pub fn name(self) -> &'static str {
                match self {
                    $(Bug::$bug => $name,)+
                    $(Bug::$race => $race_name,)+
                }
            }

            /// What slipped, in one line.
            pub fn about(self) -> &'static str {
                match self {
                    $(Bug::$bug => $about,)+
                    $(Bug::$race => $race_about,)+
                }
            }
        }
    };
}

bugs! { {
    // accounts
    DuplicateApiKeys = "duplicate_api_keys":
        "keys are derived from what a registration says, and stored once more when it is sent again";
    RestartRepeatsKeys = "restart_repeats_keys":
        "the generator of keys begins anew at every start, and so do the keys";
    TakenUsernameRefused = "taken_username_refused":
        "a taken username gets no suffix, so it runs into the unique constraint";
    ModelWrittenToEveryone = "model_written_to_everyone":
        "PATCH /auth/me/model updates without WHERE, so every agent gets the model";
    CallbackUrlKept = "callback_url_kept":
        "PATCH /auth/me/callback without an address leaves the one there was";
    CallbackTokenCleared = "callback_token_cleared":
        "PATCH /auth/me/callback without a token clears the one there was";
    ProfileCountsVotesReceived = "profile_counts_votes_received":
        "an agent's profile counts the votes on its proposals instead of those it gave";
    // proposals
    FourthProposal = "fourth_proposal":
        "the limit of active proposals is off by one, so a fourth is accepted";
    LimitCountsDraftsOnly = "limit_counts_drafts_only":
        "the limit of active proposals counts drafts and forgets those under validation";
    SubmitByAnyone = "submit_by_anyone":
        "submitting a proposal does not check whose it is";
    SubmitTwice = "submit_twice":
        "submitting a proposal does not check that it is still a draft";
    SubmitAll = "submit_all":
        "submitting updates by author instead of by id, so all drafts of the author go with it";
    ReviseNotStored = "revise_not_stored":
        "a revised premise is answered as accepted but never written";
    RevisionNotCounted = "revision_not_counted":
        "a revision of a proposal does not raise revision_count";
    ReviseAfterDecision = "revise_after_decision":
        "an approved proposal may still be revised; only rejected ones are closed";
    MissingProposalCrashes = "missing_proposal_crashes":
        "reading an unknown proposal takes its row for granted: 500 instead of 404";
    BlindModeLeaks = "blind_mode_leaks":
        "a reader who has not voted is shown the other validators' verdicts";
    // votes on proposals
    ValidateDraft = "validate_draft":
        "a draft may be validated before it is submitted; only decided proposals are closed";
    SelfValidation = "self_validation":
        "authors may validate their own proposals";
    SecondVote = "second_vote":
        "neither the code nor a unique index keeps an agent from voting twice on a proposal";
    SecondVoteCrashes = "second_vote_crashes":
        "a second vote is left to the unique index, and its violation is not handled: 500";
    WeaknessesNotRequired = "weaknesses_not_required":
        "an approval that names no weaknesses is accepted";
    SixWeaknesses = "six_weaknesses":
        "the limit of weaknesses is off by one, so six are accepted";
    GateIgnored = "gate_ignored":
        "two approvals decide on a proposal even though a strengthen vote was never addressed";
    GateOpenedByEarlierRevision = "gate_opened_by_earlier_revision":
        "a revision made before the strengthen vote counts as having addressed it";
    ApprovalDespiteRejection = "approval_despite_rejection":
        "two approvals decide on a proposal even though there is a rejection";
    RejectionNotFinal = "rejection_not_final":
        "a proposal's second rejection is recorded, but its status is never set to rejected";
    ApprovalWithoutWorld = "approval_without_world":
        "approval sets a proposal's status but does not create the world";
    ApprovalTwoWorlds = "approval_two_worlds":
        "approval inserts the world twice";
    WorldOwnedByVoter = "world_owned_by_voter":
        "the new world belongs to the last voter instead of the proposal's author";
    // worlds and regions
    CanonWithoutFallback = "canon_without_fallback":
        "a world without canon summary shows null instead of its premise";
    RegionCaseSensitive = "region_case_sensitive":
        "region names are compared with case, so a duplicate in other case is accepted";
    // dwellers
    DwellerNotCounted = "dweller_not_counted":
        "creating a dweller does not raise the world's dweller_count";
    BlockedNameParts = "blocked_name_parts":
        "only the whole name is looked up among the blocked ones, not its parts";
    SixthDweller = "sixth_dweller":
        "the limit of inhabited dwellers is off by one, so a sixth may be claimed";
    ClaimInhabited = "claim_inhabited":
        "an inhabited dweller may be claimed away";
    ReleaseByAnyone = "release_by_anyone":
        "releasing a dweller does not check who inhabits it";
    ReleaseKeepsInhabitant = "release_keeps_inhabitant":
        "release marks the dweller available but forgets to clear inhabited_by";
    // dweller proposals
    SixthDwellerProposal = "sixth_dweller_proposal":
        "the limit of active dweller proposals is off by one, so a sixth is accepted";
    DwellerProposalSelfValidation = "dweller_proposal_self_validation":
        "authors may validate their own dweller proposals";
    DwellerProposalOneApproval = "dweller_proposal_one_approval":
        "one approval decides on a dweller proposal instead of two";
    DwellerProposalWithoutDweller = "dweller_proposal_without_dweller":
        "approval sets a dweller proposal's status but does not create the dweller";
    DwellerProposalNotCounted = "dweller_proposal_not_counted":
        "a dweller that comes from a proposal does not raise the world's dweller_count";
    DwellerProposalGateStaysShut = "dweller_proposal_gate_stays_shut":
        "a dweller proposal's revision is counted but not timed, so the gate never opens";
    DwellerProposalNeverRejected = "dweller_proposal_never_rejected":
        "a dweller proposal's second rejection is recorded, but its status is never set";
    // acting, and what is heard of it
    ActByAnyone = "act_by_anyone":
        "whoever has the context token may act; inhabiting is not checked";
    TokenNotChecked = "token_not_checked":
        "any context token is accepted";
    MoveNotStored = "move_not_stored":
        "a move is answered with the new location, but the dweller stays where it was";
    ReplyNotRequired = "reply_not_required":
        "speaking past an unanswered question is accepted";
    SpeechNotNotified = "speech_not_notified":
        "the inhabitant of a dweller who is spoken to is not notified";
    ActivityLimitIgnored = "activity_limit_ignored":
        "the limit of a world's activity is never looked at, so any is accepted and none applies";
    // memory
    CoreRemoveIgnored = "core_remove_ignored":
        "PATCH memory/core adds but does not remove";
    SituationWrittenToWorld = "situation_written_to_world":
        "PATCH situation updates by world instead of by id, so every dweller of it changes";
    SituationWithoutKey = "situation_without_key":
        "PATCH situation takes requests without a key, and does not ask those who inhabits";
    PersonalityByAnyone = "personality_by_anyone":
        "PATCH memory/personality does not check who asks";
    MemorySearchedByAnyone = "memory_searched_by_anyone":
        "searching a dweller's memory does not check who inhabits it";
    // confirming and escalating actions
    ActionSelfConfirmation = "action_self_confirmation":
        "actors may confirm the importance of their own actions";
    ActionConfirmedAgain = "action_confirmed_again":
        "a confirmed importance may be confirmed once more, by another";
    ActionConfirmerMistaken = "action_confirmer_mistaken":
        "the actor is stored as the one who confirmed the importance";
    ConfirmationNotNotified = "confirmation_not_notified":
        "the actor is not notified that the importance was confirmed";
    ActionEscalatedUnconfirmed = "action_escalated_unconfirmed":
        "an action is escalated although nobody confirmed its importance";
    ActionEscalatedTwice = "action_escalated_twice":
        "an action may be escalated again, and becomes a second event";
    // events
    EventOriginUnknown = "event_origin_unknown":
        "an escalated event is stored with an origin that no reader knows: 500 ever after";
    EventYearTooLate = "event_year_too_late":
        "the latest year of an event is off by one, so one year later is accepted";
    EventSelfApproval = "event_self_approval":
        "proposers may approve their own events";
    EventCanonNotUpdated = "event_canon_not_updated":
        "an approved event leaves the world's canon summary as it was";
    EventAfterRejection = "event_after_rejection":
        "a rejected event may still be approved; only approved ones are closed";
    EventReasonNotStored = "event_reason_not_stored":
        "the reason why an event was rejected is answered but never written";
    // aspects
    AspectSubmitByAnyone = "aspect_submit_by_anyone":
        "submitting an aspect does not check whose it is";
    AspectReviseHitsWorld = "aspect_revise_hits_world":
        "revising an aspect writes the title to every aspect of the world";
    AspectSelfValidation = "aspect_self_validation":
        "authors may validate their own aspects";
    AspectWithoutSummary = "aspect_without_summary":
        "an approval of an aspect without updated_canon_summary is accepted";
    AspectGateIgnored = "aspect_gate_ignored":
        "an approval decides on an aspect even though a strengthen vote was never addressed";
    AspectRejectionIgnored = "aspect_rejection_ignored":
        "a rejection of an aspect is recorded, but the aspect stays open";
    AspectCanonNotUpdated = "aspect_canon_not_updated":
        "an approved aspect leaves the world's canon summary as it was";
    AspectRegionLost = "aspect_region_lost":
        "an approved region aspect is not appended to the world's regions";
    AspectVoteNotNotified = "aspect_vote_not_notified":
        "the author of an aspect is not notified of votes on it";
    // stories and acclaim
    StorySelfReview = "story_self_review":
        "authors may review their own stories";
    StoryReviewOverwritten = "story_review_overwritten":
        "an agent's second review of a story replaces the first instead of being refused";
    StoryReviewsNotBlind = "story_reviews_not_blind":
        "an agent that has not reviewed a story is shown the reviews of others";
    StoryRevisionNotCounted = "story_revision_not_counted":
        "a revision of a story does not raise revision_count";
    StoryDeletedByAnyone = "story_deleted_by_anyone":
        "deleting a story asks for any key instead of the administrator's";
    StoryReviewsNotDeleted = "story_reviews_not_deleted":
        "deleting a story leaves its reviews, so the database refuses when there are any";
    AcclaimByOneReview = "acclaim_by_one_review":
        "one review that recommends acclaim is enough for it";
    AcclaimUnanswered = "acclaim_unanswered":
        "a story is acclaimed while its author still owes answers to reviews";
    AcclaimUnrevised = "acclaim_unrevised":
        "a story is acclaimed that was never revised";
    AcclaimOnlyOnRevision = "acclaim_only_on_revision":
        "only a revision looks whether acclaim is due; the last answer to a review does not";
    // reactions, comments and following
    ReactionRemovalNotCounted = "reaction_removal_not_counted":
        "a reaction that is taken back is still counted";
    ReactionChangeCounted = "reaction_change_counted":
        "changing a reaction counts the new one and forgets to take off the old one";
    CommentNotCounted = "comment_not_counted":
        "a comment does not raise comment_count";
    CommentReactionTwice = "comment_reaction_twice":
        "a comment's reaction is counted twice";
    FollowCountedTwice = "follow_counted_twice":
        "following a world again raises follower_count again";
    PreferencesNotStored = "preferences_not_stored":
        "new preferences of a follower are answered as accepted but never written";
    UnfollowNotCounted = "unfollow_not_counted":
        "unfollowing a world does not lower follower_count";
    UnfollowBelowZero = "unfollow_below_zero":
        "unfollowing a world that one does not follow lowers follower_count";
    UnfollowForgetsAll = "unfollow_forgets_all":
        "unfollowing deletes by follower instead of by id, so nothing is followed any more";
    // suggestions
    SuggestionAcceptedByAnyone = "suggestion_accepted_by_anyone":
        "accepting a suggestion does not check whose work it changes";
    SuggestionAfterRejection = "suggestion_after_rejection":
        "a rejected suggestion can still be accepted";
    SuggestionNotApplied = "suggestion_not_applied":
        "an accepted suggestion is marked so, but its value never reaches the target";
    SuggestionStaysPending = "suggestion_stays_pending":
        "accepting a suggestion applies it but leaves it pending";
    SuggestionWithdrawnByAnyone = "suggestion_withdrawn_by_anyone":
        "withdrawing a suggestion does not check who made it";
    SuggestionWrittenAsText = "suggestion_written_as_text":
        "an accepted value is written as text whatever the field, so documents end up empty";
    // feedback
    FeedbackUpvotedTwice = "feedback_upvoted_twice":
        "an agent may upvote the same feedback again";
    FeedbackSelfUpvote = "feedback_self_upvote":
        "authors may upvote their own feedback";
    FeedbackUpvoteNotCounted = "feedback_upvote_not_counted":
        "an upvote is answered with the new count, but only the voter is stored";
    FeedbackResolvedWithoutNotes = "feedback_resolved_without_notes":
        "notes are required for wont_fix and forgotten for resolved";
    FeedbackReopened = "feedback_reopened":
        "wont_fix is not treated as final, so closed feedback goes on to other statuses";
    // notifications and heartbeats
    PendingOfEveryone = "pending_of_everyone":
        "pending notifications are not those of the caller, but everybody's";
    PendingNotMarked = "pending_not_marked":
        "pending notifications are answered as marked, but stay unread";
    PeekMarksRead = "peek_marks_read":
        "mark_as_read=false marks all the same";
    HistoryFilterInverted = "history_filter_inverted":
        "the history shows unread notifications as read ones, and read ones as unread";
    NotificationReadByAnyone = "notification_read_by_anyone":
        "marking a notification does not check whose it is";
    HeartbeatNotStored = "heartbeat_not_stored":
        "a heartbeat is answered, but its time is never written";
    HeartbeatReportsPresent = "heartbeat_reports_present":
        "a heartbeat reports the status that it brings about instead of the one before";
    // feed and platform
    FeedLimitIgnored = "feed_limit_ignored":
        "the feed's limit is checked, and then forgotten";
    FeedRepeatsLast = "feed_repeats_last":
        "a page of the feed begins with the last item of the page before";
    ProcessByAnyone = "process_by_anyone":
        "processing notifications takes any agent's key for an administrator's";
} races {
    UsernameTakenMeanwhile = "username_taken_meanwhile":
        "a username is looked up in one transaction and taken in the next, where it may be gone";
    TwoWorldsAtOnce = "two_worlds_at_once":
        "a vote is stored in one transaction and counted in the next, so two may both decide";
    NeitherVoteDecides = "neither_vote_decides":
        "earlier votes are counted before the proposal is locked, so two at once decide nothing";
    TwoDwellersAtOnce = "two_dwellers_at_once":
        "a vote on a dweller is stored in one transaction and counted in the next: two may decide";
    RegionsLost = "regions_lost":
        "the list of a world's regions is read, and written back as a whole with one more";
    DwellerClaimedByTwo = "dweller_claimed_by_two":
        "whether a dweller is free is looked up in one transaction, and it is taken in the next";
    ActionConfirmedByTwo = "action_confirmed_by_two":
        "nothing locks the action between finding it unconfirmed and confirming it";
    ActionEscalatedByTwo = "action_escalated_by_two":
        "nothing locks an action while it is escalated, and reading it expects one event at most";
    EventDecidedByTwo = "event_decided_by_two":
        "nothing locks an event between finding it pending and deciding on it";
    AspectDecidedByTwo = "aspect_decided_by_two":
        "nothing locks an aspect between finding it under validation and deciding on it";
    ReactionsLost = "reactions_lost":
        "the number of reactions to a story is read, changed and written back";
    CommentsLost = "comments_lost":
        "the number of comments is read, raised and written back";
    UpvotesLost = "upvotes_lost":
        "the list of who upvoted a feedback is read and written back without a lock";
    SuggestionSettledByTwo = "suggestion_settled_by_two":
        "nothing locks a suggestion between finding it pending and settling it";
} }

impl fmt::Display for Bug {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Bug {
    type Err = UnknownBug;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        if let Some(bug) = Self::ALL.iter().find(|bug| bug.name() == name) {
            return Ok(*bug);
        }
        let mut nearest: Vec<(f64, &'static str)> = Self::ALL
            .iter()
            .map(|bug| (strsim::jaro_winkler(name, bug.name()), bug.name()))
            .filter(|(resemblance, _)| *resemblance >= RESEMBLANCE)
            .collect();
        nearest.sort_by(|left, right| right.0.total_cmp(&left.0));
        nearest.truncate(3);
        Err(UnknownBug {
            name: name.to_owned(),
            nearest: nearest.into_iter().map(|(_, name)| name).collect(),
        })
    }
}

/// The switches that are on: one bit a bug.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bugs([u128; 2]);

const _: () = assert!(Bug::ALL.len() <= 2 * u128::BITS as usize);

impl Bugs {
    pub(super) fn has(self, bug: Bug) -> bool {
        let (word, bit) = place(bug);
        self.0[word] & bit != 0
    }
}

/// In which word a bug has its bit, and which one.
fn place(bug: Bug) -> (usize, u128) {
    let index = bug as usize;
    let bits = u128::BITS as usize;
    (index / bits, 1 << (index % bits))
}

impl FromIterator<Bug> for Bugs {
    fn from_iter<I: IntoIterator<Item = Bug>>(bugs: I) -> Self {
        let mut on = Self::default();
        for (word, bit) in bugs.into_iter().map(place) {
            on.0[word] |= bit;
        }
        on
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_snake_case_and_round_trip() {
        let mut seen = HashSet::new();
        for bug in Bug::ALL {
            let name = bug.name();
            assert!(seen.insert(name), "{name} is listed twice");
            assert!(
                name.starts_with(|first: char| first.is_ascii_lowercase())
                    && name
                        .chars()
                        .all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit()),
                "{name} is not snake case"
            );
            assert_eq!(name.parse(), Ok(*bug));
            assert_eq!(bug.to_string(), name);
        }
    }

    /// `--list` shows name and slip on one line.
    #[test]
    fn names_and_slips_are_short() {
        let mut seen = HashSet::new();
        for bug in Bug::ALL {
            let (name, about) = (bug.name(), bug.about());
            assert!(name.len() <= 32, "{name}");
            assert!((1..=90).contains(&about.len()), "{about}");
            assert!(!about.contains('\n') && !about.ends_with('.'), "{about}");
            assert!(seen.insert(about), "two bugs are the same: {about}");
        }
    }

    #[test]
    fn names_are_those_of_the_variants() {
        for bug in Bug::ALL {
            let variant = format!("{bug:?}").to_lowercase();
            assert_eq!(bug.name().replace('_', ""), variant);
        }
    }

    #[test]
    fn an_unknown_name_lists_the_nearest() {
        let error = "self_validaton".parse::<Bug>().unwrap_err();
        assert_eq!(error.nearest[0], "self_validation");
        assert!(error.to_string().contains("did you mean `self_validation`"));
        assert!("%".parse::<Bug>().unwrap_err().nearest.is_empty());
    }

    #[test]
    fn switches_are_independent() {
        let switched = [Bug::SecondVote, Bug::SixthDweller, Bug::UpvotesLost];
        let on: Bugs = switched.into_iter().collect();
        let listed: Vec<_> = Bug::ALL.iter().copied().filter(|b| on.has(*b)).collect();
        assert_eq!(listed, switched);
    }
}
