#!/bin/sh
# drill.sh [TIME]    restores to a folder that is thrown away, starts it where nobody else finds it,
#                    and proves the books of it. Status 0: this backup is one. Weekly, as postgres.
# MANAGE is how manage.py is called (/opt/platform/bin/python -m config.manage), with the settings of
# the programs in the environment; the database of it is DATABASE.
set -eu
here=$(dirname "$0") manage=${MANAGE:-/opt/platform/bin/python -m config.manage}
folder=$(mktemp -d "${TMPDIR:-/tmp}/drill-XXXXXX")
trap 'pg_ctl -D "$folder/data" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$folder"' EXIT
"$here/restore.sh" "${1:-latest}" "$folder/data"
pg_ctl -D "$folder/data" -w -t 3600 -l "$folder/log" -o "-k $folder -h ''" start >/dev/null ||
    { tail -n 20 "$folder/log" >&2; exit 1; }
for _ in $(seq 3600); do
    asked=$(psql -h "$folder" -d "${DATABASE:-platform}" -Atc 'SELECT pg_is_in_recovery()')
    [ "$asked" = f ] && break
    sleep 1
done
DATABASE_URL="host=$folder dbname=${DATABASE:-platform} user=${PGUSER:-postgres}" $manage reconcile
