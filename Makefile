# Two commands to begin with: `make demo` and `make test`.  Each makes the environment that it needs.
#
#   make check                                  lint, types and quick tests, for each change; takes a minute or two
#   PYTHON=python3.13 make test                 uses another interpreter
#   make test TESTS='tests/test_runs.py -x'     takes these tests, or other options of pytest
#   make peer-suites                            LSST's own tests of its executors, run against ours
#   make test-ray                               tests of the engine Ray, which is large: fetches about 80 MB more
#   make campaign SEEDS=0-59 JOBS=4             disturbs runs on purpose; CAMPAIGN="--record FILE" adds up pieces

PYTHON ?= python3
VENV ?= .venv
PEER ?= .venv-peer
DEMO ?= demo
JOBS ?= 2
TESTS ?=
SEEDS ?= 0-81
CAMPAIGN ?=
OLDEST := 3.11
# Tests, in words that any Python understands, whether it is new enough.
TRY := import sys; sys.version_info[:2] >= tuple(map(int, "$(OLDEST)".split("."))) or sys.exit( \
	"pipetask needs Python $(OLDEST) or newer, and $(PYTHON) is %d.%d: " % sys.version_info[:2] + \
	"name another one, as in PYTHON=python3.12 make demo")
# One line for each file that is fetched, and how much that is in the end.
FETCHED := awk '/(Downloading|Using cached) / && !/metadata/ { sub(/^ */, "  "); print; fflush(); \
	size = $$(NF - 1); gsub(/\(/, "", size); files++; \
	bytes += size * ($$NF ~ /MB/ ? 1e6 : $$NF ~ /kB/ ? 1e3 : 1) } \
	END { if (files) printf "%d files, %.0f MB\n", files, bytes / 1e6 }'
MAKE_ENVIRONMENT = $(PYTHON) -c '$(TRY)' && echo "Creating a virtual environment in $(1) with $$($(PYTHON) --version) …" \
	&& $(PYTHON) -m venv --clear $(1)
QUICK := not (slow or campaign or peer or postgresql or browser or condor or slurm)

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c

.PHONY: demo check test test-ray lint types bench campaign peer-suites docs clean

demo: $(VENV)/.installed
	$(VENV)/bin/pipetask demo $(DEMO)

check: lint types
	$(VENV)/bin/python -m pytest -q -n $(JOBS) --dist worksteal -m "$(QUICK)" $(TESTS)

test: $(VENV)/.installed $(PEER)/.installed
	PIPETASK_PEER=$(abspath $(PEER))/bin/pipetask $(VENV)/bin/python -m pytest -n $(JOBS) --dist worksteal \
		$(if $(CI),--durations=25) $(TESTS)

test-ray: $(VENV)/.ray
	$(VENV)/bin/python -m pytest -m ray $(TESTS)

lint: $(VENV)/.installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(VENV)/.installed
	$(VENV)/bin/mypy

bench: $(VENV)/.installed $(PEER)/.bps $(PEER)/.bps-parsl
	PIPETASK_PEER=$(abspath $(PEER))/bin/pipetask $(VENV)/bin/python -m benchmarks

peer-suites: $(VENV)/.installed
	cd tests && PYTHONPATH=. $(abspath $(VENV))/bin/python -m peer_suites

campaign: $(VENV)/.installed
	cd tests && $(abspath $(VENV))/bin/python -m campaign $(SEEDS) --jobs $(JOBS) $(CAMPAIGN)

docs: $(VENV)/.doc
	$(VENV)/bin/sphinx-build -W --keep-going -q doc build/doc

clean:
	rm -rf $(VENV) $(PEER) build

$(VENV)/.installed: setup.cfg pyproject.toml
	@$(call MAKE_ENVIRONMENT,$(VENV))
	@echo "Installing pipetask and what it needs there; that fetches about 200 MB, and takes a minute or more:"
	@$(VENV)/bin/pip install --progress-bar off --disable-pip-version-check -e '.[test,demo]' | $(FETCHED)
	@touch $@

# More in the same environment, where it stays: what the documentation is made with, and Ray, which is large.
$(VENV)/.doc $(VENV)/.ray: $(VENV)/.%: $(VENV)/.installed
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -e '.[$*]'
	@touch $@

# LSST's own command, which tests and benchmarks compare with, in an environment of its own.
$(PEER)/.installed:
	@$(call MAKE_ENVIRONMENT,$(PEER))
	@echo "Installing LSST's own command there, for comparison:"
	@$(PEER)/bin/pip install --progress-bar off --disable-pip-version-check lsst-ctrl-mpexec | $(FETCHED)
	@touch $@

# What only benchmarks compare with: LSST's way to HTCondor.  It needs bindings that HTCondor 25 has no more.
$(PEER)/.bps: $(PEER)/.installed
	$(PEER)/bin/pip install --quiet --disable-pip-version-check lsst-ctrl-bps-htcondor 'htcondor<25'
	touch $@

# And its way to Parsl, which uses an argument (checkpoint_mode) that later versions of Parsl have no more.
$(PEER)/.bps-parsl: $(PEER)/.bps
	$(PEER)/bin/pip install --quiet --disable-pip-version-check lsst-ctrl-bps-parsl 'parsl<2025.6'
	touch $@
