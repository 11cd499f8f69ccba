#!/bin/sh
# drill.sh [TIME]    restores to a folder that is thrown away, starts it where nobody else finds it,
#                    and proves the books of it. Status 0: this backup is one. Weekly, as postgres.
# MANAGE is how manage.py is called (/opt/platform/bin/python -m config.manage), with the settings of
# the programs in the environment; the database of it is DATABASE.
set -eu
# Debian keeps most of them there.
PATH=$PATH:$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
here=$(dirname "$0") manage=${MANAGE:-/opt/platform/bin/python -m config.manage}
folder=$(mktemp -d "${TMPDIR:-/tmp}/drill-XXXXXX")
trap 'pg_ctl -D "$folder/data" -m immediate stop >/dev/null 2>&1 || true; rm -rf "$folder"' EXIT
"$here/restore.sh" "${1:-latest}" "$folder/data"
# What a replay needs at least is what the one that was saved had; its own files may lie elsewhere.
pg_controldata "$folder/data" | sed -n 's/^max_connections setting: */max_connections = /p
    s/^max_worker_processes setting: */max_worker_processes = /p
    s/^max_wal_senders setting: */max_wal_senders = /p
    s/^max_prepared_xacts setting: */max_prepared_transactions = /p
    s/^max_locks_per_xact setting: */max_locks_per_transaction = /p' > "$folder/drill.conf"
echo "hba_file = '$folder/hba.conf'" >> "$folder/drill.conf"
echo "local all all trust" > "$folder/hba.conf"  # Its folder is nobody else's.
pg_ctl -D "$folder/data" -w -t 3600 -l "$folder/log" -o "-c config_file=$folder/drill.conf -k $folder -h ''" start >/dev/null ||
    { tail -n 20 "$folder/log" >&2; exit 1; }
for _ in $(seq 3600); do
    asked=$(psql -h "$folder" -d "${DATABASE:-platform}" -Atc 'SELECT pg_is_in_recovery()')
    [ "$asked" = f ] && break
    sleep 1
done
DATABASE_URL="host=$folder dbname=${DATABASE:-platform} user=${PGUSER:-postgres}" $manage reconcile
