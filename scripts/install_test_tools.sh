#!/bin/sh
# Installs the Debian packages that the tests need and that are missing. Needs root only when something is missing.
# Debian starts the services among them when they are installed, on their usual ports; no test ever talks to those: each
# starts its own, on free ports, in a folder of its own. Stop yours if you do not want them: systemctl disable --now ...
set -eu
missing=
for package in chromium clang libomp-dev fluidsynth espeak-ng fluid-soundfont-gm timgm6mb-soundfont g++ curl nginx openssl \
    postgresql prometheus redis-server rabbitmq-server; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ]; then
    echo "the tests need these packages; as root: apt-get install --no-install-recommends$missing" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086  # the names are meant to be split
apt-get install -qq -y --no-install-recommends $missing >/dev/null
