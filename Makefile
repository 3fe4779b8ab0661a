# Needs git, make and python3 with venv; everything else comes from PyPI.

PYTHON ?= python3

# Whoever sets these means another environment than the ones made here.
unexport PYTHONPATH PYTHONHOME PIP_USER VIRTUAL_ENV

# Errors only: pip warns about many things that are no mistake of the reader's.
PIP_INSTALL = -m pip install -qq --disable-pip-version-check --no-input

.DEFAULT_GOAL := help

.PHONY: help
help:  ## say what there is
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20

.PHONY: demo
demo: venv  ## watch a real fedmsg-hub award badges
	@.venv/bin/python demo/run.py

.PHONY: demo-broker
demo-broker: venv  ## watch two daemons on one queue of RabbitMQ award badges
	@.venv/bin/python demo/run_on_broker.py

# The environment of tox for the Python at hand; IN_PY runs something else in it than all tests.
TOX = .tox/launcher/bin/python -m tox
PY = $$(.tox/launcher/bin/python -c 'import sys; print("py%d%d" % sys.version_info[:2])')
IN_PY = $(TOX) exec -q --skip-pkg-install -e $(PY) --

# A file's tests share what they set up, so they stay together.
PARALLEL = -n auto --dist loadfile --no-loadscope-reorder

# Another -m in ARGS takes its place.
QUICK = $(PARALLEL) -m "not slow"

.PHONY: test
test: .tox/launcher/installed  ## run the quick tests on one Python; ARGS="--cov -k checkpoint"
	@$(TOX) run -e $(PY) -- $(QUICK) $(ARGS)

# Optimisations change no answer.
OPTIMISATIONS = keep_counts prepare_statements remember_holdings
ANSWERS = tests/corpus tests/databases/test_prepared_statements.py tests/engine tests/history \
    tests/service/test_batching.py tests/tahrir

.PHONY: test-all
test-all: .tox/launcher/installed  ## run the quick tests on all Pythons there are, and unoptimised
	@$(TOX) run -- $(QUICK) $(ARGS)
	@for name in $(OPTIMISATIONS); do \
	    echo "Without badges.$$name:"; \
	    FEDBADGES_WITHOUT=$$name $(IN_PY) pytest $(QUICK) $(ANSWERS) || exit 1; \
	done

FAULTS = tests/faults tests/broker/test_*_faults.py
LONG = $(PARALLEL) -m "(slow or thorough) and not alone"

# What measures, or sends as much as the machine can take, runs alone.
.PHONY: test-faults
test-faults: export FEDBADGES_FAULTS = full
test-faults: .tox/launcher/installed  ## kill and flood the daemon
	@$(TOX) run -e $(PY) -- -n 0 $(or $(ARGS),-m alone tests/faults)
	@$(if $(ARGS),,$(IN_PY) pytest $(LONG) $(FAULTS))

.PHONY: test-slow
test-slow: export FEDBADGES_FAULTS = full
test-slow: .tox/launcher/installed  ## run the other slow tests
	@$(TOX) run --notest -e $(PY)
	@$(IN_PY) python packaging/fasjson.py
	@$(IN_PY) pytest $(LONG) $(FAULTS:%=--ignore-glob=%) $(ARGS)

.PHONY: lint
lint: .venv/tools  ## check style and which package imports which
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/lint-imports

.PHONY: types
types: .venv/tools  ## check types
	@.venv/bin/mypy

.PHONY: docs
docs: .venv/tools  ## build the documentation as a site, in build/site; needs Python 3.11
	@.venv/bin/python -m sphinx -q -W --keep-going -b html docs build/site

# Part of the repository, because an installation has no Sphinx.
.PHONY: man
man: .venv/tools  ## write the manual pages anew, into man; needs Python 3.11
	@.venv/bin/python -m sphinx -q -W --keep-going -b man -d build/doctrees docs man

.PHONY: bench
bench: .venv/benchmark  ## measure what messages cost, in minutes and 4 GiB; BENCH_ARGS=--quick
	@.venv/bin/python -W ignore benchmarks/run.py $(BENCH_ARGS)

.PHONY: venv
venv: .venv/installed  ## make .venv, with fedbadges in it

.PHONY: clean
clean:  ## remove the environments and what the tools left
	rm -rf .venv .tox dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage*
	find . -type d \( -name __pycache__ -o -name '*.egg-info' -o -name build \) -prune -exec rm -rf {} +

# $(call make_venv,PATH)
define make_venv
@$(PYTHON) -c '' 2>/dev/null || { \
    echo "python3 is missing: apt install python3-venv (Debian) or dnf install python3 (Fedora)" >&2; \
    exit 1; }
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
    echo "$$($(PYTHON) --version) is too old: install Python 3.10 or newer and say which," \
        "for example dnf install python3.12 && make PYTHON=python3.12" >&2; \
    exit 1; }
@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
    echo "python3 lacks venv: apt install python3-venv (Debian) or dnf install python3 (Fedora)" >&2; \
    exit 1; }
@$(PYTHON) -m venv --clear $(1)
endef

# Say which environment was finished, so that a clone that was moved, or whose python3 was
# replaced, gets a new one: its scripts point to the old place.
PRINT_PREFIX = -c 'import sys; print(sys.prefix)'
finished = $(shell cat $(1)/installed 2>/dev/null)
actual = $(shell $(1)/bin/python $(PRINT_PREFIX) 2>/dev/null)

ifneq ($(call finished,.venv),$(call actual,.venv))
.PHONY: .venv/installed
endif

.venv/installed: setup.py pyproject.toml packaging/psycopg2/setup.py demo/usernames/setup.py
	$(call make_venv,.venv)
	@echo "Installing into .venv; this takes a minute ..."
	@.venv/bin/python $(PIP_INSTALL) 'pip >= 23.1'  # before, it cannot build txWS
	@.venv/bin/python $(PIP_INSTALL) ./packaging/psycopg2 --editable . --editable demo/usernames
	@.venv/bin/python $(PRINT_PREFIX) >$@

# What runs the tests and checks the code, from the clone itself.
.venv/tools: .venv/installed
	@echo "Installing the tools into .venv ..."
	@.venv/bin/python $(PIP_INSTALL) --editable '.[lint,test]'
	@touch $@

.venv/benchmark: .venv/installed
	@.venv/bin/python $(PIP_INSTALL) --editable '.[bench]'
	@touch $@

ifneq ($(call finished,.tox/launcher),$(call actual,.tox/launcher))
.PHONY: .tox/launcher/installed
endif

.tox/launcher/installed: tox.ini
	$(call make_venv,.tox/launcher)
	@.tox/launcher/bin/python $(PIP_INSTALL) 'tox >= 4.35'
	@.tox/launcher/bin/python $(PRINT_PREFIX) >$@
