"""Turns the peers' JSON lines (stdin) into a Markdown table of medians and ranges (stdout)."""

import json
import statistics
import sys

SHORTEST = {"A": 4, "B": 6, "C": 4}


def spread(values, capped):
    if not values:
        return "–"
    # A run that reached its limit is at least that large: it keeps its place in the median.
    low, mid, high = min(values), statistics.median(values), max(values)
    more = "≥ " if capped * 2 > len(values) else ""
    return f"{more}{mid:,.0f} [{low:,}–{high:,}]"


runs = [json.loads(line) for line in sys.stdin if line.strip()]
print("| engine | bug | seeds | found | find requests | shrink requests | shrink replays | steps | not minimal |")
print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
for engine in dict.fromkeys(run["engine"] for run in runs):
    for bug in sorted({run["bug"] for run in runs if run["engine"] == engine}):
        mine = [run for run in runs if run["engine"] == engine and run["bug"] == bug]
        found = [run for run in mine if run["found"]]
        done = [run for run in found if run["minimal_steps"]]
        longer = sum(run["minimal_steps"] != SHORTEST.get(bug) for run in done)
        steps = ", ".join(str(s) for s in sorted({run["minimal_steps"] for run in done}))
        cells = [
            engine,
            bug,
            len(mine),
            len(found),
            spread([run["find_requests"] for run in mine], len(mine) - len(found)),
            spread([run["shrink_requests"] for run in found], len(found) - len(done)),
            spread([run["shrink_replays"] for run in found], len(found) - len(done)),
            steps or "–",
            f"{longer} of {len(done)}" if bug in SHORTEST else "–",
        ]
        print("| " + " | ".join(str(cell) for cell in cells) + " |")
stopped = [run for run in runs if run["stopped"]]
for run in stopped:
    print(f"\n{run['engine']}, bug {run['bug']}, seed {run['seed']}: stopped early ({run['stopped']})", end="")
print()
