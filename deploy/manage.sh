#!/bin/sh
# Into /usr/local/bin/platform: manage.py with the programs' settings, as their user; called by root.
# A DATABASE_URL that is given goes first: the owner's, for migrate and grants.
set -eu
given=${DATABASE_URL-}
set -a
. /etc/platform/environment
set +a
[ -z "$given" ] || DATABASE_URL=$given
cd /var/lib/platform
[ "${1-}" = rotate ] || # It writes the file of settings, which is root's.
    exec setpriv --reuid platform --regid platform --init-groups -- /opt/platform/bin/python -m config.manage "$@"
exec /opt/platform/bin/python -m config.manage "$@"
