#!/usr/bin/env bash
# Prints the path of a tar of a Debian with Python, the root file system of the tests' base image.
# debootstrap makes it once; it takes root and a Debian mirror.
set -euo pipefail
tar=${INFERENCE_TEST_BASE_TAR:-/var/tmp/inference-base-image/debian-python-12.tar}
folder=$(dirname "$tar")

if [ ! -e "$tar" ]; then
  [ "$(id -u)" = 0 ] || { echo "base_image.sh: making $tar takes root" >&2; exit 1; }
  { command -v debootstrap || apt-get install -y -qq debootstrap; } >/dev/null
  mkdir -p "$folder"
  tree=$(mktemp -d "$folder/tree.XXXXXX")
  trap 'rm -rf "$tree" "$tree.log" "$tree.tar"' EXIT
  timeout 600 debootstrap --variant=minbase --include=python3,ca-certificates bookworm "$tree" >"$tree.log" || {
    tail -n 3 "$tree.log" >&2
    exit 1
  }
  rm -rf "$tree/etc/ssl/certs" # its links would lead to files of this machine
  cp -rL /etc/ssl/certs "$tree/etc/ssl/" # as this machine trusts
  tar -C "$tree" -cf "$tree.tar" .
  mv "$tree.tar" "$tar" # whole, or not there
fi
echo "$tar"
