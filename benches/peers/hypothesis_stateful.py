"""The workshop's model for Hypothesis' RuleBasedStateMachine, over requests.

In: --url --bug --seed --max-requests --seconds. Out: one JSON line on how many requests it took.
"""

import argparse
import json
import os
import threading

import requests
from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, rule, run_state_machine_as_test

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
    # A withdrawn proposal and a released claim stay in their bundles: the model says 404 of them.
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

    def refusal(self, proposal, actor, by_author=None, status=None):
        """The status that refuses an action on a proposal, or None."""
        if proposal not in self.live:
            return 404
        state = self.live[proposal]
        if by_author is not None and (state["author"] == actor) != by_author:
            return 403
        if status is not None and state["status"] != status:
            return 409
        return None

    @rule(target=proposals, actor=members, title=texts, budget=st.integers(1, 1000))
    def create_proposal(self, actor, title, budget):
        body = self.send("create", actor, "POST", "/proposals", {"title": title, "budget": budget}, 201)
        state = {"author": actor, "title": title, "budget": budget, "status": "draft", "votes": {}, "comments": 0}
        self.live[body["id"]] = state
        return body["id"]

    @rule(actor=members, proposal=proposals)
    def submit_proposal(self, actor, proposal):
        refusal = self.refusal(proposal, actor, True, "draft")
        self.send("submit", actor, "POST", f"/proposals/{proposal}/submit", None, refusal or 200)
        if refusal is None:
            self.live[proposal]["status"] = "submitted"

    @rule(actor=members, proposal=proposals, title=texts)
    def revise_proposal(self, actor, proposal, title):
        refusal = self.refusal(proposal, actor, True, "draft")
        self.send("revise", actor, "PUT", f"/proposals/{proposal}", {"title": title}, refusal or 200)
        if refusal is None:
            self.live[proposal].update(title=title)

    @rule(actor=members, proposal=proposals)
    def withdraw_proposal(self, actor, proposal):
        refusal = self.refusal(proposal, actor, True, "draft")
        self.send("withdraw", actor, "DELETE", f"/proposals/{proposal}", None, refusal or 204)
        if refusal is None:
            del self.live[proposal]

    @rule(actor=members, proposal=proposals, verdict=st.sampled_from(["approve", "reject"]))
    def validate_proposal(self, actor, proposal, verdict):
        refusal = self.refusal(proposal, actor, False, "submitted")
        if refusal is None and actor in self.live[proposal]["votes"]:
            refusal = 409
        if refusal is None and self.frozen:
            refusal = 423
        path = f"/proposals/{proposal}/validations"
        self.send("validate", actor, "POST", path, {"verdict": verdict}, refusal or 201)
        if refusal is None:
            state = self.live[proposal]
            state["votes"][actor] = verdict
            given = list(state["votes"].values())
            if given.count("approve") == 3:
                state["status"] = "approved"
            elif given.count("reject") == 2:
                state["status"] = "rejected"

    @rule(actor=members, proposal=proposals, text=texts)
    def comment(self, actor, proposal, text):
        refusal = self.refusal(proposal, actor)
        self.send("comment", actor, "POST", f"/proposals/{proposal}/comments", {"text": text}, refusal or 201)
        if refusal is None:
            self.live[proposal]["comments"] += 1

    @rule(actor=members)
    def list_proposals(self, actor):
        body = self.send("list_proposals", actor, "GET", "/proposals", None, 200)
        self.expect({p["id"] for p in body["proposals"]}, set(self.live))

    @rule(actor=members, proposal=proposals)
    def read_proposal(self, actor, proposal):
        refusal = self.refusal(proposal, actor)
        body = self.send("read_proposal", actor, "GET", f"/proposals/{proposal}", None, refusal or 200)
        if refusal is None:
            state = self.live[proposal]
            for key in ("title", "budget", "status", "comments"):
                self.expect(body[key], state[key])
            self.expect(body["validations"], len(state["votes"]))

    @rule(target=claims, actor=members, hours=st.integers(1, 8))
    def claim(self, actor, hours):
        full = len(self.held) >= 5
        body = self.send("claim", actor, "POST", "/claims", {"hours": hours}, 409 if full else 201)
        if full:
            return "none"
        self.held[body["id"]] = (actor, hours)
        return body["id"]

    @rule(actor=members, claim=claims)
    def release(self, actor, claim):
        expected = 404 if claim not in self.held else 204 if self.held[claim][0] == actor else 403
        self.send("release", actor, "DELETE", f"/claims/{claim}", None, expected)
        if expected == 204:
            del self.held[claim]

    @rule(actor=members)
    def list_claims(self, actor):
        body = self.send("list_claims", actor, "GET", "/claims", None, 200)
        seen = {c["id"]: c["hours"] for c in body["claims"]}
        self.expect(seen, {c: hours for c, (holder, hours) in self.held.items() if holder == actor})

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
