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
    command -v sshd >/dev/null || apt-get install -y -qq openssh-server >/dev/null || say "openssh-server cannot be installed"
    mkdir -p "$folder"
    exec 9>"$folder/lock" # two Engines on one folder take each other's sockets away
    flock -n 9 || { say "another run has the Engine; waiting until it ends"; flock 9; }
    export DOCKER_HOST=unix://$folder/docker.sock
    rm -f "$folder/pid" # of one that was killed
    # with this in its PATH an Engine starts what asks for GPUs, and tells it which in a variable
    printf '#!/bin/sh\ncat >/dev/null\n' >"$folder/nvidia-container-runtime-hook"
    chmod +x "$folder/nvidia-container-runtime-hook"
    export INFERENCE_TEST_FAKE_GPUS=1
    PATH=$PATH:$folder dockerd --data-root "$folder/data" --exec-root "$folder/exec" -H "$DOCKER_HOST" -p "$folder/pid" \
      >"$folder/log" 2>&1 9>&- &
    engine=$!
    trap 'kill "$engine" 2>/dev/null; wait "$engine" 2>/dev/null || true' EXIT
    for _ in $(seq 60); do
      docker version >/dev/null 2>&1 && break
      kill -0 "$engine" 2>/dev/null || break
      sleep 0.5
    done
    export INFERENCE_TEST_ENGINE=$folder # tests may change this host
    docker version >/dev/null 2>&1 || say "dockerd did not start: $(tail -n 3 "$folder/log")"
  fi
fi

make_image() {
  tar=$("$(dirname "$0")/../base_image.sh") && docker import -c 'CMD ["python3"]' "$tar" "$image" >/dev/null
}

if docker version >/dev/null 2>&1 && ! docker image inspect "$image" >/dev/null 2>&1; then
  make_image || say "cannot make image $image; it takes root and debootstrap"
fi

# In a container without privileges an Engine starts, but no container does. Then it is as if none was there.
if [ -n "${engine:-}" ] && ! why=$(docker run --rm --pull never "$image" true 2>&1); then
  say "the Engine runs no container: $why"
  kill "$engine" && wait "$engine" || true
fi

"$@" 9>&-
