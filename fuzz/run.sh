#!/usr/bin/env bash
# Fuzzes what strangers may hand to gainsay, each target for so many seconds: fuzz/run.sh [SECONDS] [TARGET…]
# Needs a nightly toolchain; installs cargo-fuzz. A finding ends it, and is kept in fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds="${1:-600}"
shift || true
targets=("$@")
[ "${#targets[@]}" -gt 0 ] || targets=(model snapshot history response)
command -v cargo-fuzz >/dev/null || cargo install --locked --quiet cargo-fuzz
for target in "${targets[@]}"; do
    mkdir -p "fuzz/corpus/$target"
    # What is found goes to the first folder; the seeds are only read.
    cargo +nightly fuzz run "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -max_len=20000 -print_final_stats=1
done
