#!/usr/bin/env bash
# build-image.sh [TAG]: builds the container image (default qkms) with podman, without a container service. Where the base image is not
# here and no registry answers, the base is a Debian trixie made by mmdebstrap from the Debian archive, kept as localhost/qkms-base.
# BASE=image chooses another base.
set -euo pipefail
cd "$(dirname "$0")/.."
tag=${1:-qkms}
base=${BASE:-docker.io/library/debian:trixie-slim}
own_base=localhost/qkms-base:trixie

present() { podman image exists "$1"; }

make_base() {
  echo "no registry gave $base: making $own_base with mmdebstrap"
  local scratch; scratch=$(mktemp -d)
  # shellcheck disable=SC2064
  trap "rm -rf '$scratch'" EXIT
  mmdebstrap --quiet --variant=minbase --include=ca-certificates --skip=output/dev trixie "$scratch/base.tar"
  podman import --quiet "$scratch/base.tar" "$own_base"
}

if ! present "$base" && { [ -n "${BASE:-}" ] || ! present "$own_base"; }; then
  if ! timeout 120 podman pull --quiet "$base"; then
    [ -z "${BASE:-}" ] || { echo "cannot get $base" >&2; exit 1; }
    make_base
  fi
fi
present "$base" || base=$own_base

# The docker format keeps HEALTHCHECK, which the OCI format does not know.
podman build --isolation=chroot --format docker --layers --build-arg BASE="$base" --tag "$tag" --file deploy/Dockerfile .
