# Everything a contributor runs. `make help` lists it. Each target makes the virtual environment it needs.

PYTHON ?= python3
# Not taken from the environment variables: what is here is cleared.
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check
CODE   := $(wildcard cqrsbus tests examples benchmarks)
# The compiled build is installed, not run from here; what only the checkout has comes last on its path (checkout.pth).
NATIVE := $(VENV)-native
NATIVE_PIP := $(NATIVE)/bin/python -m pip install --quiet --disable-pip-version-check
COMPILED := PYTHONSAFEPATH=1 $(NATIVE)/bin/python
# What goes through the compiled modules for real.
NATIVE_TESTS := tests/test_compiled.py tests/test_topics.py \
    $(addprefix tests/,wire routing links transports broker bus integration)
# How many tests run at the same time; JOBS=0 runs them one after the other, in order.
JOBS   := 3
ARGS   :=

.DEFAULT_GOAL := help
.PHONY: help demo test native test-native check check-ruff check-format check-mypy check-pyright check-layers check-spelling \
        docs bench bench-native bench-pure matrix dev clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/.with-cli ## a broker, three processes and a printed answer
	$(BIN)/python -m examples.email.demo $(ARGS)

test: $(VENV)/.with-test ## every test, on asyncio, asyncio with uvloop and trio; ARGS="-k name" chooses
	$(BIN)/python -m pytest --numprocesses=$(JOBS) --dist=worksteal $(ARGS)

native: $(NATIVE)/.with-bench ## the compiled build: the same sources, the layers without I/O compiled to C
	@ls $(NATIVE)/dist/*.whl

test-native: $(NATIVE)/.with-test ## the tests of what is compiled, and those that go through it, on the compiled build
	$(COMPILED) -m pytest --compiled --override-ini=pythonpath= --numprocesses=$(JOBS) --dist=worksteal \
	    $(NATIVE_TESTS) $(ARGS)

check: check-ruff check-format check-mypy check-pyright check-layers check-spelling ## style, types, layers, spelling

check-ruff: $(VENV)/.with-dev
	$(BIN)/ruff check .

check-format: $(VENV)/.with-dev
	$(BIN)/ruff format --check .

check-mypy: $(VENV)/.with-dev
	$(BIN)/mypy --strict $(CODE)

check-pyright: $(VENV)/.with-dev
	$(BIN)/basedpyright --pythonpath $(BIN)/python $(CODE)

check-layers: $(VENV)/.with-dev
	$(BIN)/lint-imports

check-spelling: $(VENV)/.with-dev
	$(BIN)/codespell

docs: $(VENV)/.with-dev ## the site, into site/; a broken link or reference is an error
	$(BIN)/mkdocs build --strict

bench: ## compare with the peers, in less than six minutes; fails if a goal is missed
	@if $(PYTHON) scripts/compiler.py; then $(MAKE) --no-print-directory bench-native; \
	else echo 'measuring the pure build'; $(MAKE) --no-print-directory bench-pure; fi

bench-native: $(NATIVE)/.with-bench
	$(COMPILED) -m benchmarks $(ARGS)

bench-pure: $(VENV)/.with-bench
	$(BIN)/python -m benchmarks $(ARGS)

matrix: ## the tests on each supported Python found on this machine
	scripts/matrix.sh $(ARGS)

dev: $(VENV)/.with-dev ## the environment with every tool, for editors and pre-commit

clean: ## remove everything that was built
	rm -rf .venv .venv-* site dist build .coverage .coverage.* htmlcov \
	    .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -f cqrsbus__mypyc.*.so
	find cqrsbus -name '*.so' -delete

# A changed pyproject.toml starts the environment afresh, so that a dependency dropped there is missed here.
$(VENV)/.created $(NATIVE)/.created: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "cqrsbus needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": try make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv --clear $(@D)
	@touch $@

# One stamp for each set of extras that a target asks for.
$(VENV)/.with-%: $(VENV)/.created
	$(PIP) --editable '.[$*]'
	@touch $@

# By way of the sdist, as a release is built: the checkout stays as it is, and what the sdist lacks is missed here.
$(NATIVE)/.built: $(NATIVE)/.created pyproject.toml scripts/compiler_flags.py $(shell find cqrsbus -name '*.py')
	@$(PYTHON) scripts/compiler.py
	$(NATIVE_PIP) build
	rm -rf $(NATIVE)/dist
	HATCH_BUILD_HOOKS_ENABLE=1 $(NATIVE)/bin/python -m build --outdir $(NATIVE)/dist
	$(NATIVE_PIP) --force-reinstall --no-deps $(NATIVE)/dist/*.whl
	echo '$(CURDIR)' >"$$($(NATIVE)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/checkout.pth"
	@touch $@

$(NATIVE)/.with-%: $(NATIVE)/.built
	$(NATIVE_PIP) "$$(echo $(NATIVE)/dist/*.whl)[$*]"
	@touch $@
