.PHONY: setup demo down test test-docker test-cluster image coverage check lint types contracts schema bench

# uv from PATH, else from the index into the environment itself. Bytecode is compiled at once, because
# the first command would take a second longer, and each one where Python may not write it.
UV := $(shell command -v uv 2>/dev/null || echo .venv/bin/uv)

setup: .venv/.ready

.venv/.ready: pyproject.toml uv.lock
	@command -v uv >/dev/null 2>&1 || { python3 -m venv .venv && .venv/bin/python -m pip install -q uv; }
	@$(UV) sync -q --frozen --inexact --compile-bytecode
	@.venv/bin/python -m compileall -q -j 0 provider sdk components
	@touch .venv/.ready

demo: setup
	@.venv/bin/python examples/01-quickstart/demo.py

down: setup
	@.venv/bin/python examples/01-quickstart/demo.py --down

# Most tests wait for servers, so more run at once than there are cores.
WORKERS ?= 4

test: setup
	@.venv/bin/pytest -n $(WORKERS) --dist loadgroup $(ARGS)

# With a Docker Engine of its own where none answers; needs root for that.
test-docker: setup
	@tests/docker/with_engine.sh .venv/bin/pytest -m docker $(ARGS)

# With a Kubernetes cluster of its own, unless INFERENCE_TEST_KUBECONFIG names one; needs root and Go
# for that, and minutes the first time. A Docker Engine builds the image of the router's pods.
test-cluster: setup
	@tests/docker/with_engine.sh tests/cluster/with_cluster.sh .venv/bin/pytest -m cluster $(ARGS)

# The image of a router's container, by Docker's own command line.
BASE ?= docker.io/library/python:3.11-slim-bookworm
IMAGE ?= inference-runtime:latest

image: setup
	docker build --network host --build-arg BASE=$(BASE) -t $(IMAGE) .

# Lines that the tests without servers run; these want the processor, so there is one process for each core.
coverage: setup
	.venv/bin/pytest -q -n auto --dist loadgroup --cov --cov-report= -m "not local and not envoy and not pulumi and not docker and not cluster"
	.venv/bin/coverage report

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

types: setup
	.venv/bin/mypy

contracts: setup
	.venv/bin/lint-imports

check: lint types contracts

schema: setup
	.venv/bin/python -m inference_provider.files.schema

bench: setup
	.venv/bin/python benchmarks/run.py
