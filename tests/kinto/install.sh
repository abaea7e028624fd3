#!/bin/sh
# Installs the pinned Kinto into target/kinto-venv (Python 3.11 or later; about 10 s). Does nothing if it is there.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
venv=${KINTO_VENV:-$here/../../target/kinto-venv}
if ! cmp -s "$here/requirements.txt" "$venv/requirements.txt"; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$venv/requirements.txt"
fi
"$venv/bin/kinto" version
