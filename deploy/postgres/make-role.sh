#!/bin/sh
# Makes the role of the programs, when the container's database is first made.
set -eu
psql -v ON_ERROR_STOP=1 -v password="$PROGRAMS_PASSWORD" -U "$POSTGRES_USER" -d "$POSTGRES_DB" <<'SQL'
CREATE ROLE programs LOGIN PASSWORD :'password';
SQL
