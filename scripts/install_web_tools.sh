#!/bin/sh
# Installs what the page in web/ is built and checked with. Without Node nothing fails: the built page is committed.
set -eu
cd "$(dirname "$0")/../web"
if ! command -v npm >/dev/null; then
    echo "node is not installed: the page is served as it is committed, and tests of its source are left out" >&2
    exit 0
fi
[ node_modules/.package-lock.json -nt package-lock.json ] && exit 0
npm ci --silent --no-audit --no-fund
touch node_modules/.package-lock.json
