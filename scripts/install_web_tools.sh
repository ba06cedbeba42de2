#!/bin/sh
# Installs what the page in web/ and the client in clients/js are built and checked with, and what the tests follow the
# service's events with.
# Only these need Node. Where the service is installed and started it is not needed: the built page is committed.
set -eu
cd "$(dirname "$0")/.."
major=$(node --version 2>/dev/null | sed 's/^v\([0-9]*\).*/\1/')
if [ "${major:-0}" -lt 20 ] || ! command -v npm >/dev/null; then
    echo "the page and the tests need Node 20 or newer, with npm: https://nodejs.org/en/download (Debian 12 has an older one)" >&2
    exit 1
fi
for folder in web clients/js; do
    [ $folder/node_modules/.package-lock.json -nt $folder/package-lock.json ] && continue
    (cd $folder && npm ci --silent --no-audit --no-fund)
    touch $folder/node_modules/.package-lock.json
done
