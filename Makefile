# Everything a developer runs. Needs Python 3.11 or newer, cargo and a C compiler; the rest is set
# up in .venv on first use, from locked and hashed requirements. An unchanged tree does no work.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO ?=
BENCH ?=
TABLE ?= sba_case_2017.csv

# Child processes find the environment's tools first, and no other active environment.
export PATH := $(CURDIR)/$(BIN):$(PATH)
unexport VIRTUAL_ENV CONDA_PREFIX PYTHONPATH PYTHONHOME

CORE := Cargo.toml Cargo.lock pyproject.toml $(shell find rust -name '*.rs')
LOAD ?=
WORKERS ?= 2
FUZZ ?= 20
EXCHANGES ?=
LINTED := python tests benches examples verifier .ci
COMPILE := pip-compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links \
	--no-emit-trusted-host --no-header --strip-extras --no-annotate --allow-unsafe --all-build-deps

.DEFAULT_GOAL := help
.PHONY: help demo test check bench bench-full load exchanges guard fuzz chaos scorecard wheel lock clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-10s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/built ## run the whole exchange with four parties, e.g. make demo DEMO='--firms 200'
	$(BIN)/ledgercore demo $(DEMO)

test: $(VENV)/built ## run the tests of the core and of the package, two at a time: make test WORKERS=4
	cargo test --locked --quiet
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal

check: $(VENV)/built ## run what CI runs before the tests: format, lints, types, house rules
	cargo fmt --check
	cargo clippy --locked --quiet --all-targets -- -D warnings
	cargo clippy --locked --quiet --all-targets --features python -- -D warnings
	$(BIN)/ruff check $(LINTED)
	$(BIN)/ruff format --check $(LINTED)
	$(BIN)/mypy --strict
	$(BIN)/mypy --strict verifier/ledgercore_verify.py
	$(BIN)/mypy --strict benches
	$(BIN)/python -m mypy.stubtest ledgercore._core
	$(BIN)/python -m pytest -q tests/test_tidy.py

bench: $(VENV)/built $(VENV)/bench ## measure, with peers beside us in the same run
	$(BIN)/python benches/run.py $(BENCH)

bench-full: $(VENV)/built $(VENV)/bench ## the same with Go's logs beside us, and to 10^7 records
	$(BIN)/python benches/run.py --full $(BENCH)

load: $(VENV)/built ## hold four nodes under 5,500 records/s for 60 s: make load LOAD='--seconds 600'
	$(BIN)/python benches/load.py $(LOAD)

exchanges: $(VENV)/built ## run 30,000 full exchanges: make exchanges EXCHANGES='--count 2000'
	$(BIN)/python benches/exchanges.py $(EXCHANGES)

guard: $(VENV)/built $(VENV)/bench ## fail where ours falls behind beside its peers
	$(BIN)/python benches/guard.py
	$(BIN)/python benches/guard.py --control

fuzz: $(VENV)/built ## try generated input 20 times as often as the tests, new each time: make fuzz FUZZ=100
	LEDGERCORE_DEEP=1 LEDGERCORE_FUZZ=$(FUZZ) $(BIN)/python -m pytest -m hypothesis --timeout 7200 \
		--hypothesis-show-statistics tests
	PROPTEST_CASES=$$((256 * $(FUZZ))) cargo test --locked --quiet

chaos: $(VENV)/built ## run simulated networks at their deep counts: half an hour or more
	LEDGERCORE_DEEP=1 $(BIN)/python -m pytest -s --timeout 7200 tests/faults/test_simulation.py \
		tests/faults/test_hostile_peers.py tests/faults/test_backup.py

scorecard: $(VENV)/built $(VENV)/example ## fit the example's scorecard anew: make scorecard TABLE=sba.csv
	$(BIN)/python examples/fit_scorecard.py $(TABLE) examples/sba_scorecard.toml

wheel: $(VENV)/wheel ## build the manylinux2014 wheel and try it alone in an empty environment
	rm -rf dist
	$(BIN)/maturin build --release --zig --compatibility manylinux2014 --out dist
	.ci/smoke dist/*.whl

lock: ## resolve the requirements files anew
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --upgrade pip-tools
	env -u PIP_FIND_LINKS build/lock/bin/$(COMPILE) --upgrade --extra test --extra node \
		--output-file requirements.txt pyproject.toml
	env -u PIP_FIND_LINKS build/lock/bin/$(COMPILE) --upgrade --extra bench \
		--constraint requirements.txt --output-file requirements-bench.txt pyproject.toml
	env -u PIP_FIND_LINKS build/lock/bin/$(COMPILE) --upgrade --extra wheel \
		--constraint requirements.txt --output-file requirements-wheel.txt pyproject.toml
	env -u PIP_FIND_LINKS build/lock/bin/$(COMPILE) --upgrade --extra example \
		--constraint requirements.txt --output-file requirements-example.txt pyproject.toml

clean: ## remove everything that was built or downloaded here
	rm -rf $(VENV) build dist demo target .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -f python/ledgercore/*.so
	find python tests benches -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo '$(PYTHON) is too old, want 3.11 or newer: make PYTHON=...' >&2; exit 1; }
	@command -v cargo >/dev/null \
		|| { echo 'cargo is missing, want Rust 1.89 or newer: see CONTRIBUTING.md' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.txt
	@touch $@

$(VENV)/built: $(VENV)/installed $(CORE)
	@echo 'compiling the core: this takes some minutes the first time'
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/bench: requirements-bench.txt $(VENV)/installed
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements-bench.txt
	@touch $@

$(VENV)/example: requirements-example.txt $(VENV)/installed
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements-example.txt
	@touch $@

$(VENV)/wheel: requirements-wheel.txt $(VENV)/installed
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements-wheel.txt
	@touch $@
