#!/bin/sh
# archive_command = '/opt/platform/deploy/postgres/archive-wal.sh %p %f'
# Keeps one file of the log, whole and on disk, or says no: PostgreSQL keeps it then, and tries again.
# One that is there already is the same, or the archive is another database's.
set -eu
from=$1 to=${BACKUPS:-/var/backups/platform}/wal/$2
mkdir -p "${to%/*}"
if [ -e "$to" ]; then
    cmp -s "$from" "$to" || { echo "$to is there, and is another one" >&2; exit 1; }
    exit 0
fi
cp "$from" "$to.unfinished"
sync "$to.unfinished"
mv "$to.unfinished" "$to"
sync "${to%/*}"
