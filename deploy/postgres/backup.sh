#!/bin/sh
# backup.sh [KEEP]    a whole backup, verified, as base/<UTC of its end>; the newest KEEP (2) are kept,
#                     and the log since the oldest of these. Nightly, as the user postgres.
# Where it is reached is PGHOST, PGPORT, PGUSER; where it goes is BACKUPS. Then copy BACKUPS elsewhere:
# a disk that dies takes what lies on it.
set -eu
# Debian keeps most of them there.
PATH=$PATH:$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
keep=${1:-2} root=${BACKUPS:-/var/backups/platform}
mkdir -p "$root/base" "$root/wal"
new=$root/base/unfinished
rm -rf "$new"
pg_basebackup --pgdata="$new" --checkpoint=fast --wal-method=stream \
    --manifest-checksums=SHA256
pg_verifybackup --quiet "$new"
name=$(date -u +%Y-%m-%dT%H-%M-%SZ)
mv "$new" "$root/base/$name"
sync "$root/base"
ls -1 "$root/base" | sort -r | tail -n +$((keep + 1)) | while read -r old; do
    rm -rf "$root/base/${old:?}"
done
oldest=$(ls -1 "$root/base" | sort | head -n 1)
first=$(sed -n 's/^START WAL LOCATION: .*(file \([0-9A-F]*\))$/\1/p' "$root/base/$oldest/backup_label")
pg_archivecleanup "$root/wal" "$first"
echo "$root/base/$name"
