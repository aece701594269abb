.PHONY: setup demo test lint types contracts down bench
UV := $(shell command -v uv 2>/dev/null)
ifeq ($(UV),)
UV := .venv/bin/uv
endif

setup: .venv/.ready

.venv/.ready: pyproject.toml uv.lock
	@command -v uv >/dev/null 2>&1 || { test -d .venv || python3 -m venv .venv; .venv/bin/python -m pip install -q uv; }
	$(UV) sync -q --frozen
	@touch .venv/.ready
