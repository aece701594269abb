#!/usr/bin/env bash
# Runs a command with a Kubernetes cluster: the one of INFERENCE_TEST_KUBECONFIG, the one that
# `--up` left running, or its own, which it starts for the command and ends with it. Where none can
# be started it says why and runs the command all the same; the tests say themselves why they are
# skipped. How it is done is in lifetime.py.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
exec "$root/.venv/bin/python" "$root/tests/cluster/__main__.py" "$@"
