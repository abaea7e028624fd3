#!/bin/sh
# Installs the pinned Kinto into target/kinto-venv (Python 3.11 or later; about 10 s). Does nothing if it is there.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
venv=${KINTO_VENV:-$here/../../target/kinto-venv}
wanted=$(sed -n 's/^kinto==//p' "$here/requirements.txt")
if [ "$("$venv/bin/kinto" version 2>/dev/null || true)" != "$wanted" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
fi
"$venv/bin/kinto" version
