.PHONY: setup demo down test check lint types contracts schema bench

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

test: setup
	@.venv/bin/pytest

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
