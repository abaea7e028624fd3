#!/usr/bin/env bash
# Runs the peers against the workshop and prints a Markdown table of medians and ranges.
# In: how many seeds (default 5). ENGINES, BUGS, MAX_REQUESTS and SECONDS_PER_RUN narrow it down; BUGS=none with
# NOISE=0.003 asks what is made of stray 503s. WORKSHOP and PROPTEST_STOCK name the two Rust programs; without them
# cargo builds the examples `workshop` and `proptest_stock`.
# Out: the table on stdout; every run's JSON line in target/peers/runs.jsonl.
set -euo pipefail

seeds=${1:-5}
engines=${ENGINES:-hypothesis proptest fast-check}
bugs=${BUGS:-A B C}
max_requests=${MAX_REQUESTS:-20000}
seconds=${SECONDS_PER_RUN:-60}

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
peers=$root/target/peers
mkdir -p "$peers"

if [[ -z ${WORKSHOP:-} || -z ${PROPTEST_STOCK:-} ]]; then
    (cd "$root" && cargo build --quiet --release --example workshop --example proptest_stock)
    built=${CARGO_TARGET_DIR:-$root/target}/release/examples
fi
workshop=${WORKSHOP:-$built/workshop}
proptest_stock=${PROPTEST_STOCK:-$built/proptest_stock}

if [[ $engines == *hypothesis* && ! -x $peers/venv/bin/hypothesis ]]; then
    python3 -m venv "$peers/venv"
    "$peers/venv/bin/pip" install --quiet 'hypothesis>=6,<7' 'requests>=2,<3'
fi
if [[ $engines == *fast-check* && ! -d $peers/node/node_modules/fast-check ]]; then
    mkdir -p "$peers/node"
    echo '{ "private": true }' >"$peers/node/package.json"
    (cd "$peers/node" && npm install --silent --no-audit --no-fund 'fast-check@^4' >&2)
fi

server=
stop() { if [[ -n $server ]]; then kill "$server" 2>/dev/null || true; fi; }
trap stop EXIT

runs=$peers/runs.jsonl
: >"$runs"
for bug in $bugs; do
    : >"$peers/address"
    "$workshop" --bug "$bug" --noise "${NOISE:-0}" --port 0 >"$peers/address" &
    server=$!
    for _ in $(seq 100); do [[ -s $peers/address ]] && break; sleep 0.1; done
    url=$(head -n 1 "$peers/address")
    [[ -n $url ]] || { echo "the workshop did not start" >&2; exit 3; }
    for engine in $engines; do
        case $engine in
            hypothesis) peer=("$peers/venv/bin/python" "$here/hypothesis_stateful.py") ;;
            proptest) peer=("$proptest_stock") ;;
            fast-check) peer=(env "PEERS_NODE=$peers/node" node "$here/fast_check.mjs") ;;
            *) echo "there is no engine $engine: hypothesis, proptest, fast-check" >&2; exit 2 ;;
        esac
        for seed in $(seq "$seeds"); do
            echo "$engine, bug $bug, seed $seed" >&2
            # A peer stops by itself after its seconds; the outer limit is for one that hangs.
            timeout $((seconds + 30)) "${peer[@]}" --url "$url" --bug "$bug" --seed "$seed" \
                --max-requests "$max_requests" --seconds "$seconds" >>"$runs" \
                || echo "$engine, bug $bug, seed $seed: no result" >&2
        done
    done
    stop
    server=
done
python3 "$here/table.py" <"$runs"
