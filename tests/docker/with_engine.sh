#!/usr/bin/env bash
# Runs a command with a Docker Engine that has an image to build on: those that are there, or its
# own, which it starts for the command and ends with it. Without root it starts none, and the tests
# say themselves why they are skipped. No image is pulled: debootstrap makes one.
set -euo pipefail
image=${INFERENCE_TEST_BASE_IMAGE:-debian-python:12}
folder=/var/tmp/inference-docker-tests

say() { echo "with_engine.sh: $*" >&2; }

if ! docker version >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
  if ! command -v dockerd >/dev/null; then
    apt-get update -qq && apt-get install -y -qq docker.io >/dev/null || say "docker.io cannot be installed"
  fi
  if command -v dockerd >/dev/null; then
    mkdir -p "$folder"
    export DOCKER_HOST=unix://$folder/docker.sock
    rm -f "$folder/pid" # of one that was killed
    dockerd --data-root "$folder/data" --exec-root "$folder/exec" -H "$DOCKER_HOST" -p "$folder/pid" \
      >"$folder/log" 2>&1 &
    engine=$!
    trap 'kill "$engine" 2>/dev/null; wait "$engine" 2>/dev/null || true' EXIT
    for _ in $(seq 60); do
      docker version >/dev/null 2>&1 && break
      kill -0 "$engine" 2>/dev/null || break
      sleep 0.5
    done
    docker version >/dev/null 2>&1 || say "dockerd did not start: $(tail -n 3 "$folder/log")"
  fi
fi

if docker version >/dev/null 2>&1 && ! docker image inspect "$image" >/dev/null 2>&1; then
  if [ "$(id -u)" = 0 ] && { command -v debootstrap >/dev/null || apt-get install -y -qq debootstrap >/dev/null; }; then
    tree=$(mktemp -d /var/tmp/inference-base.XXXXXX)
    debootstrap --variant=minbase --include=python3,ca-certificates bookworm "$tree" >/dev/null
    cp -rL /etc/ssl/certs "$tree/etc/ssl/" 2>/dev/null || true # as this machine trusts
    tar -C "$tree" -c . | docker import -c 'CMD ["python3"]' - "$image" >/dev/null
    rm -rf "$tree"
  else
    say "cannot make image $image without root and debootstrap"
  fi
fi

"$@"
