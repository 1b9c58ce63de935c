# Each target does its own set-up: a .venv from requirements.lock, made once.
PYTHON   ?= python3
SCENARIO ?= steady
SEEDS    ?= 50
PY       := .venv/bin/python
READY    := .venv/.ready
SUITES   := tests/unit tests/contract tests/property tests/audit tests/mutants tests/prove \
            tests/test_house.py tests/test_rules.py tests/test_systemd.py
PROOFS   := tests/crash tests/faults tests/fuzz tests/damage tests/formats tests/clocks tests/kills

.DEFAULT_GOAL := help
.PHONY: help demo run test check lint types unit proof integration load simulate mutants prove bench lock

help:
	@echo "make demo            the whole idea at work in a minute (LOGS=\"FILE...\": your own lines)"
	@echo "make run             a broker on tcp://127.0.0.1:5577 with its store in ./var, until Ctrl-C"
	@echo "make test            everything that must hold before a change lands"
	@echo "make check           the part of it that takes less than a minute"
	@echo "make load            load test with pass bars (SCENARIO=steady|burst|poison|churn|fan-in)"
	@echo "make simulate        days of crashes and stalls in virtual time (SEED=N for one run)"
	@echo "make mutants         plant bugs, and see which check catches each (MUTANT=name for one)"
	@echo "make prove           all methods in their long forms, for days (METHOD=, COUNT=, MINUTES=)"
	@echo "make bench           how fast this machine is with layby"
	@echo "make lock            resolve the dependencies again into requirements.lock"

demo: $(READY)
	@LOGS="$(LOGS)" $(PY) -m loadtests.demo

run: $(READY)
	@$(PY) -m laybyd --data ./var

test: check proof integration

check: lint types unit

lint: $(READY)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -c 'from importlinter.cli import lint_imports_command as run; run()'

types: $(READY)
	$(PY) -m mypy

unit: $(READY)
	$(PY) -m pytest -q -n 2 $(wildcard $(SUITES))

# What takes two processors by itself is not run beside others.
proof: $(READY)
	$(PY) -m pytest -q -n 2 tests/simulation
	$(PY) -m pytest -q $(wildcard $(PROOFS))

integration: $(READY)
	$(PY) -m pytest -q tests/integration

load: $(READY)
	$(PY) -m loadtests $(SCENARIO)

simulate: $(READY)
	$(PY) -m tests.simulation $(if $(SEED),--seed $(SEED),--seeds $(SEEDS))

mutants: $(READY)
	$(PY) -m tests.mutants $(MUTANT)

prove: $(READY)
	$(PY) -m tests.prove $(METHOD) $(if $(COUNT),--count $(COUNT)) \
	  $(if $(MINUTES),--minutes $(MINUTES))

bench: $(READY)
	$(PY) -m loadtests.bench

# uv and pip-tools write the same format; --universal covers every Python and machine we support.
lock:
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --upgrade \
	  --generate-hashes --no-header --no-annotate --no-emit-index-url -o requirements.lock

# ---- set-up ------------------------------------------------------------------------------------

# An installed package points at the folder it was installed from: a moved clone is set up again.
ifneq ($(file < $(READY)),$(CURDIR))
.PHONY: $(READY)
endif

$(READY): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { \
	  echo "layby needs Python 3.11 or newer: apt install python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "layby needs Python 3.11 or newer and $(PYTHON) is older:" \
	    "apt install python3.11, then make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "$(PYTHON) has no venv module: apt install python3-venv" >&2; exit 1; }
	@echo "setting up .venv (once)..."
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@$(PY) -m pip install -q --disable-pip-version-check --require-hashes --only-binary :all: \
	  -r requirements.lock || { \
	  echo "the packages of requirements.lock could not be installed; pip says why above" >&2; \
	  exit 1; }
	@$(PY) -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@printf %s "$(CURDIR)" > $(READY)
