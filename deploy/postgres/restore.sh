#!/bin/sh
# restore.sh TIME FOLDER    makes FOLDER a data folder that starts as everything was at TIME, and
#                           serves from then on: TIME like '2026-11-28 05:00:00+00', or `latest`.
# Nothing that runs is touched. From the newest backup before TIME, and the log since; as postgres.
set -eu
time=$1 folder=$2 root=${BACKUPS:-/var/backups/platform}
if [ -e "$folder" ] && [ -n "$(ls -A "$folder")" ]; then
    echo "$folder holds something: name a folder that is empty or not there" >&2
    exit 1
fi
until=9999
[ "$time" = latest ] || until=$(date -u -d "$time" +%Y-%m-%dT%H-%M-%SZ)
base=
for each in $(ls -1 "$root/base" | grep -v unfinished | sort); do
    [ "$(printf '%s\n%s\n' "$each" "$until" | sort | head -n 1)" = "$each" ] && base=$each
done
[ -n "$base" ] || { echo "no backup is older than $time" >&2; exit 1; }
mkdir -p "$folder"
cp -a "$root/base/$base/." "$folder/"
chmod 700 "$folder"
touch "$folder/recovery.signal"
{
    echo "restore_command = 'cp \"$root/wal/%f\" \"%p\"'"
    [ "$time" = latest ] || echo "recovery_target_time = '$time'"
    echo "recovery_target_action = promote"
    echo "archive_mode = off  # Until it is the one that is used: a second one must not write there."
} >> "$folder/postgresql.auto.conf"
echo "$folder: from $base, to $time"
