#!/bin/sh
# Installs PostgreSQL's programs by apt, as root, unless they are there. tests/postgres.rs makes and starts clusters of its
# own, so Debian's, which would take port 5432, is not made.
set -eu
if ! command -v initdb >/dev/null && ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
    apt-get update -q
    apt-get install -qy --no-install-recommends postgresql-common
    sed -i 's/^#* *create_main_cluster *=.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
    apt-get install -qy --no-install-recommends postgresql
fi
