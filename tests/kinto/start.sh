#!/bin/sh
# Kinto on 127.0.0.1, in the foreground, with empty in-memory storage:
#     tests/kinto/install.sh && tests/kinto/start.sh 8888 &
# It is ready when `GET /v1/` answers 200 (about 1.5 s), and stops on SIGTERM or SIGINT. The process started is the
# server itself, not a parent of it, so it can be paused and killed by its id. A restart forgets everything.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
venv=${KINTO_VENV:-$here/../../target/kinto-venv}
KINTO_INI=$here/kinto.ini # Kinto looks here too, for logging, and complains if it finds nothing.
export KINTO_INI
exec "$venv/bin/kinto" start --ini "$KINTO_INI" --port "${1:-8888}"
