"""The workshop's model for Hypothesis' RuleBasedStateMachine, over requests.

In: --url --bug --seed --max-requests --seconds. Out: one JSON line on how many requests it took.
"""

import argparse
import json
import os
import threading

import requests
from hypothesis import HealthCheck, Phase, Verbosity, assume, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

STEPS = 50
members = st.integers(0, 3)
texts = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=60)


class Count:
    """Requests without those that opened a workshop; runs are plans and replays."""

    def __init__(self):
        self.requests = self.runs = 0
        self.found = None
        self.plan = []


count = Count()


def finish(stopped, plan=None):
    find_requests, find_runs = count.found or (count.requests, count.runs)
    line = {
        "engine": "hypothesis",
        "bug": options.bug,
        "seed": options.seed,
        "found": count.found is not None,
        "stopped": stopped,
        "find_requests": find_requests,
        "find_runs": find_runs,
        "shrink_requests": count.requests - find_requests,
        "shrink_replays": count.runs - find_runs,
        "minimal_steps": plan and len(plan),
        "plan": plan,
    }
    print(json.dumps(line), flush=True)
    # Hypothesis would take an exception for one more failure to shrink.
    os._exit(0)


class Workshop(RuleBasedStateMachine):
    proposals = Bundle("proposals")
    claims = Bundle("claims")

    def __init__(self):
        super().__init__()
        count.runs += 1
        count.plan = []
        body = session.post(options.url + "/workshops").json()
        self.tokens = [m["token"] for m in body["members"]]
        self.live, self.held = {}, {}
        self.frozen = False

    def send(self, rule_name, actor, method, path, body, expected):
        if count.found is None and count.requests >= options.max_requests:
            finish("requests")
        count.requests += 1
        count.plan.append(f"{actor} {rule_name}")
        headers = {"Authorization": "Bearer " + self.tokens[actor]}
        answer = session.request(method, options.url + path, json=body, headers=headers)
        self.expect(answer.status_code, expected)
        return answer.json() if answer.content else None

    def expect(self, seen, expected):
        if seen != expected:
            if count.found is None:
                count.found = (count.requests, count.runs)
            raise AssertionError(f"{seen!r}, expected {expected!r}")

    @rule(target=proposals, actor=members, title=texts, budget=st.integers(1, 1000))
    def create_proposal(self, actor, title, budget):
        body = self.send("create", actor, "POST", "/proposals", {"title": title, "budget": budget}, 201)
        state = {"author": actor, "title": title, "budget": budget, "status": "draft", "votes": {}, "comments": 0}
        self.live[body["id"]] = state
        return body["id"]

    def state_of(self, proposal, status=None):
        """What is remembered of a proposal; without one in that status the rule does not apply."""
        state = self.live.get(proposal)
        assume(state is not None and status in (None, state["status"]))
        return state

    def has(self, status):
        return any(state["status"] == status for state in self.live.values())

    @precondition(lambda self: self.has("draft"))
    @rule(actor=members, proposal=proposals)
    def submit_proposal(self, actor, proposal):
        state = self.state_of(proposal, "draft")
        expected = 200 if state["author"] == actor else 403
        self.send("submit", actor, "POST", f"/proposals/{proposal}/submit", None, expected)
        if expected == 200:
            state["status"] = "submitted"

    @precondition(lambda self: self.has("draft"))
    @rule(actor=members, proposal=proposals, title=texts)
    def revise_proposal(self, actor, proposal, title):
        state = self.state_of(proposal, "draft")
        expected = 200 if state["author"] == actor else 403
        self.send("revise", actor, "PUT", f"/proposals/{proposal}", {"title": title}, expected)
        if expected == 200:
            state["title"] = title

    @precondition(lambda self: self.has("draft"))
    @rule(actor=members, proposal=proposals)
    def withdraw_proposal(self, actor, proposal):
        state = self.state_of(proposal, "draft")
        expected = 204 if state["author"] == actor else 403
        self.send("withdraw", actor, "DELETE", f"/proposals/{proposal}", None, expected)
        if expected == 204:
            del self.live[proposal]

    @precondition(lambda self: self.has("submitted"))
    @rule(actor=members, proposal=proposals, verdict=st.sampled_from(["approve", "reject"]))
    def validate_proposal(self, actor, proposal, verdict):
        state = self.state_of(proposal, "submitted")
        twice = actor in state["votes"]
        expected = 403 if state["author"] == actor else 409 if twice else 423 if self.frozen else 201
        path = f"/proposals/{proposal}/validations"
        self.send("validate", actor, "POST", path, {"verdict": verdict}, expected)
        if expected == 201:
            state["votes"][actor] = verdict
            given = list(state["votes"].values())
            if given.count("approve") == 3:
                state["status"] = "approved"
            elif given.count("reject") == 2:
                state["status"] = "rejected"

    @rule(actor=members, proposal=proposals, text=texts)
    def comment(self, actor, proposal, text):
        state = self.state_of(proposal)
        self.send("comment", actor, "POST", f"/proposals/{proposal}/comments", {"text": text}, 201)
        state["comments"] += 1

    @rule(actor=members)
    def list_proposals(self, actor):
        body = self.send("list_proposals", actor, "GET", "/proposals", None, 200)
        self.expect({p["id"] for p in body["proposals"]}, set(self.live))

    @rule(actor=members, proposal=proposals)
    def read_proposal(self, actor, proposal):
        state = self.state_of(proposal)
        body = self.send("read_proposal", actor, "GET", f"/proposals/{proposal}", None, 200)
        for key in ("title", "budget", "status", "comments"):
            self.expect(body[key], state[key])
        self.expect(body["validations"], len(state["votes"]))

    @rule(target=claims, actor=members, hours=st.integers(1, 8))
    def claim(self, actor, hours):
        full = len(self.held) >= 5
        body = self.send("claim", actor, "POST", "/claims", {"hours": hours}, 409 if full else 201)
        if full:
            return multiple()
        self.held[body["id"]] = hours
        return body["id"]

    # A claim is released once, by anyone: so it leaves its bundle.
    @rule(actor=members, claim=consumes(claims))
    def release(self, actor, claim):
        del self.held[claim]
        self.send("release", actor, "DELETE", f"/claims/{claim}", None, 204)

    @rule(actor=members)
    def list_claims(self, actor):
        body = self.send("list_claims", actor, "GET", "/claims", None, 200)
        self.expect({c["id"]: c["hours"] for c in body["claims"]}, self.held)

    @rule(actor=members)
    def toggle_freeze(self, actor):
        body = self.send("toggle_freeze", actor, "POST", "/freeze", None, 200)
        self.frozen = not self.frozen
        self.expect(body["frozen"], self.frozen)


def main():
    timer = threading.Timer(options.seconds, finish, ["time"])
    timer.daemon = True
    timer.start()
    chosen = settings(
        max_examples=1_000_000,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
        print_blob=False,
        report_multiple_bugs=False,
    )
    try:
        run_state_machine_as_test(seed(options.seed)(Workshop), settings=chosen)
    except BaseException as error:
        # The last run is the minimal plan, replayed. Anything else than the failure itself is said to be so: on a
        # noisy server Hypothesis finds that its data are flaky.
        finish("" if isinstance(error, AssertionError) else type(error).__name__, count.plan)
    finish("nothing found")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--bug", default="none")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-requests", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    session = requests.Session()
    session.trust_env = False
    main()
