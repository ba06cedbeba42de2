#!/bin/sh
# Prints, for .env, the digest that each image tag of the compose files means now: scripts/pin_images.sh >> .env
# Needs docker with buildx, and the network. Run it again to move on; what stands last in .env counts.
set -eu
cd "$(dirname "$0")/../deploy"
sed -n 's/.*[: ]\([a-z/]*:[^ $]*\)\${\([A-Z]*_DIGEST\):-}.*/\2 \1/p' docker-compose.yml docker-compose.gpu.yml | sort -u |
    while read -r name image; do
        digest=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$image")
        case $digest in
            sha256:*) echo "$name=@$digest" ;;
            *) echo "no digest of $image: $digest" >&2; exit 1 ;;
        esac
    done
