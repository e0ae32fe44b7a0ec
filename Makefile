# The project's commands. `make` lists them; CI runs nothing but these.

PYTHON ?= python3
VENV ?= .venv
# More than one interpreter to test on: make test PYTHONS="python3.10 python3.13"
PYTHONS ?=
# The CPythons of test-next.
NEXT ?= 3.14
# The application of `make serve`, and its address.
APP ?= examples/asgi.py:app
HOST ?= 127.0.0.1
PORT ?= 8000
# Further arguments of the command at hand: make bench ARGS=--quick
ARGS ?=
# Tests wait for servers more than they compute: so many processes run them. JOBS=0 runs them in one.
JOBS ?= 4
# Seconds per fuzz target, or of the soak.
SECONDS ?= 60
# Clients, and proxies in front, that are no Python packages; without them some tests are skipped.
CLIENTS := chromium curl nghttp h2load openssl nginx haproxy strace

# Versions of plugins that are tested beside the newest ones.
FORMER_PLUGINS := litestar-granian==0.14.0 litestar-granian==0.15.0

BIN := $(VENV)/bin
TOOLS := .tools
RUST_SOURCES := Cargo.toml $(wildcard Cargo.lock) $(wildcard crates/*/Cargo.toml) \
	$(shell find crates/*/src -name '*.rs' 2>/dev/null)
# One interpreter for maturin, clippy and the tests: cargo rebuilds the bindings when it changes.
export PYO3_PYTHON = $(abspath $(BIN))/python
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help dev clients wheels serve test test-all test-next test-pythons test-rust test-python generate fmt check fuzz
.PHONY: test-inside test-mt lifecycle-50 sanitize soak
.PHONY: conformance conformance-http2 conformance-websockets bench applications site clean need-cargo need-python

help: ## list the commands
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

dev: $(VENV)/.stamp-deps $(VENV)/.stamp-build ## make $(VENV) with every development need and a release build

clients: ## install the clients that some tests need from Debian, as root
	@for client in $(CLIENTS); do command -v $$client >/dev/null || missing="$$missing $$client"; done; \
	test -z "$$missing" || { export DEBIAN_FRONTEND=noninteractive; apt-get update -qq; \
		apt-get install -qq --no-install-recommends curl nghttp2-client openssl nginx-light haproxy strace; \
		apt-get install -qq --no-install-recommends chromium; }

wheels: need-cargo $(VENV)/.stamp-venv ## wheels and an sdist in dist/, and a first start of both (PYTHONS="python3.10 python3.13")
	@$(BIN)/python -m pip install --quiet ziglang
	$(BIN)/python -m tools.wheels $(PYTHONS)
	$(BIN)/python -m tools.wheels --try
	$(BIN)/python -m tools.wheels --try-sdist

serve: $(VENV)/.stamp-build ## build in release mode and serve examples/ (APP=, HOST=, PORT=)
	@echo "Open http://$(HOST):$(PORT)/ (Ctrl-C stops the server)"
	@$(BIN)/granian --host $(HOST) --port $(PORT) $(ARGS) $(APP)

test: test-rust test-pythons ## every test, Rust and Python (PYTHONS="python3.10 python3.13" for several)

test-pythons: # the tests of the package, on each of $(PYTHONS)
ifeq ($(strip $(PYTHONS)),)
	@$(MAKE) --no-print-directory test-python
else
	@set -e; for python in $(PYTHONS); do \
		tag=$$($$python -c 'import sys; print(sys.implementation.cache_tag)') || exit 1; \
		echo "== $$tag"; \
		CARGO_TARGET_DIR=.build/target-$$tag \
			$(MAKE) --no-print-directory test-python PYTHON=$$python VENV=.build/venv-$$tag; \
	done
endif

test-all: ## every test on the oldest and the newest CPython at hand (pyenv or PATH), and test-next where it can run
	@oldest=$$($(call find-python,3.10 3.11 3.12)); newest=$$($(call find-python,3.15 3.14 3.13 3.12)); \
	test -n "$$oldest$$newest" || { echo "test-all needs a CPython between 3.10 and 3.15" >&2; exit 1; }; \
	$(MAKE) --no-print-directory test PYTHONS="$$oldest $$newest"
	@for version in $(NEXT); do $(next-test) || { code=$$?; test $$code -eq 69 || exit $$code; }; done

test-next: ## the package's tests on CPythons this system is too old for, in a root of Debian unstable (NEXT=3.15)
	@set -e; for version in $(NEXT); do $(next-test); done

test-inside: # in that root
	@$(MAKE) --no-print-directory clients >/dev/null 2>&1 \
		|| echo "some clients could not be installed: their tests will be skipped"
	@$(MAKE) --no-print-directory test-pythons

test-rust: need-cargo $(VENV)/.stamp-venv ## the tests of the crates
	cargo test --workspace

test-python: $(VENV)/.stamp-deps $(VENV)/.stamp-build $(VENV)/.stamp-plugins ## the tests of the package, on $(PYTHON)
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS) || { code=$$?; \
		test $$code -eq 1 || exit $$code; \
		echo "== what failed beside other tests, once more and alone: the machine may have been too busy for a time bound"; \
		$(BIN)/python -m pytest --last-failed --last-failed-no-failures none --maxfail 1 $(ARGS); }

test-mt: $(VENV)/.stamp-deps $(VENV)/.stamp-build ## the end-to-end tests with connections on threads of their own
	@GRANIAN_TEST_PLACEMENT=mt $(BIN)/python -m pytest -n $(JOBS) --dist loadfile tests/e2e $(ARGS)

generate: $(VENV)/.stamp-deps $(VENV)/.stamp-build ## write what is made from tables: types, settings page, schema, HTTP/1 cases
	@for tool in signatures settings schema http1_cases; do $(BIN)/python -m tools.$$tool || exit 1; done

fmt: $(VENV)/.stamp-deps need-cargo ## format Rust and Python
	cargo fmt --all
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

check: $(VENV)/.stamp-deps $(VENV)/.stamp-build ## every lint and type check, and the size of files and functions
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tools/size.py
	@for tool in signatures settings schema http1_cases; do $(BIN)/python -m tools.$$tool --check || exit 1; done
	$(BIN)/mypy
	$(BIN)/stubtest granian._granian --mypy-config-file pyproject.toml --allowlist tests/stubtest.allow

# Sanitizers are a matter of nightly; without one the stable compiler is told to be it.
fuzz: need-cargo ## run every fuzz target for SECONDS= (60) each
	@command -v cargo-fuzz >/dev/null || test -x $(TOOLS)/bin/cargo-fuzz \
		|| cargo install cargo-fuzz --locked --root $(TOOLS)
	@set -e; PATH="$$PATH:$(abspath $(TOOLS))/bin"; cd crates/proto; \
	if rustup toolchain list 2>/dev/null | grep -q '^nightly'; then export RUSTUP_TOOLCHAIN=nightly; \
	else export RUSTC_BOOTSTRAP=1; fi; \
	mkdir -p fuzz/corpus/request_head; cp corpus/h1/*/*.http fuzz/corpus/request_head/; \
	for target in $$(cargo fuzz list); do \
		cargo fuzz run $$target -- -max_total_time=$(SECONDS) $(ARGS); \
	done

# ThreadSanitizer needs a standard library that is built with it, and so nightly with its sources.
sanitize: need-cargo ## models of what threads share (loom), and the tests of granian-net under ThreadSanitizer (nightly, rust-src)
	cargo test -p granian-net --lib --features model model::
	@rustup +nightly component list 2>/dev/null | grep -q '^rust-src.*(installed)' || { \
		echo "sanitize: ThreadSanitizer needs a nightly toolchain with its sources: rustup component add rust-src --toolchain nightly" >&2; \
		exit 1; }
	CARGO_TARGET_DIR=.build/target-tsan RUSTFLAGS=-Zsanitizer=thread CARGO_PROFILE_DEV_DEBUG=line-tables-only \
		cargo +nightly test -Zbuild-std --target $(shell rustc -vV | sed -n "s/^host: //p") -p granian-net --lib -- $(ARGS)

lifecycle-50: $(VENV)/.stamp-deps $(VENV)/.stamp-build $(VENV)/.stamp-plugins ## every test of the life cycle 50 times (ARGS="-k hup")
	@LIFECYCLE_REPEAT=50 $(BIN)/python -m pytest -q tests/lifecycle $(ARGS)

soak: $(VENV)/.stamp-deps $(VENV)/.stamp-build ## mixed load for SECONDS= while workers are replaced and killed (ARGS="--seed 1 --placement mt")
	@PYTHONPATH=tests $(BIN)/python -m soak --seconds $(SECONDS) $(ARGS)

conformance: conformance-http2 conformance-websockets ## the public conformance suites; writes docs/conformance/

conformance-http2: $(VENV)/.stamp-deps $(VENV)/.stamp-build # h2spec over h2c and TLS
	$(BIN)/python -m tests.conformance.http2

conformance-websockets: $(VENV)/.stamp-deps $(VENV)/.stamp-build # Autobahn's fuzzing client (ARGS="'1.*'" for some cases)
	$(BIN)/python -m tests.conformance.websockets $(ARGS)

bench: need-cargo need-python ## compare with the peers on PyPI; writes docs/benchmarks/ (ARGS="--quick --only ours")
	@$(PYTHON) -m benches $(ARGS)

applications: $(VENV)/.stamp-deps $(VENV)/.stamp-build ## real applications from the index under this server; writes docs/applications.md
	@$(BIN)/python -m applications $(ARGS)

site: $(VENV)/.stamp-venv ## the documents as a site in .build/site
	@$(BIN)/python -m pip install --quiet --group docs
	@$(BIN)/python -m tools.site

clean: ## remove what the other commands made
	rm -rf $(VENV) .build $(TOOLS) target benches/.envs dist .mypy_cache .pytest_cache .ruff_cache
	find granian \( -name '*.so' -o -name '*.pyd' \) -delete

# Ends with 69, and says why, where that cannot be.
next-test = tools/newer-python.sh $$version $(MAKE) --no-print-directory test-inside PYTHONS=python$$version

# The first of the given versions that runs, from pyenv or PATH.
find-python = for version in $(1); do \
		for python in "$$(pyenv prefix "$$(pyenv latest $$version 2>/dev/null)" 2>/dev/null)/bin/python" "python$$version"; do \
			if "$$python" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$$version')" 2>/dev/null; \
			then echo "$$python"; exit 0; fi; \
		done; \
	done

need-cargo:
	@minor=$$(cargo --version 2>/dev/null | sed -n 's/^cargo 1\.\([0-9]*\)\..*/\1/p'); test "$${minor:-0}" -ge 88 \
		|| { echo "granian is built with Rust 1.88 or newer, and no such cargo is on the PATH: see https://rustup.rs" >&2; exit 1; }

need-python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null \
		|| { echo "granian needs Python 3.10 or newer, and '$(PYTHON)' is not: name one with make PYTHON=python3.x" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
		|| { echo "'$(PYTHON)' cannot make environments: install its venv package (Debian: apt install python3-venv)" >&2; exit 1; }

# An interpreter that was asked for by name, and is not the environment's, makes the environment anew.
ifneq ($(origin PYTHON),file)
ifneq ($(shell test -x $(BIN)/python && test "$$($(PYTHON) -VV)" != "$$($(BIN)/python -VV)" && echo other),)
.PHONY: $(VENV)/.stamp-venv
endif
endif

# Stamps: each step again only when what it was made from has changed.
$(VENV)/.stamp-venv: | need-python
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1' 'maturin>=1.10,<2'
	@touch $@

$(VENV)/.stamp-deps: $(VENV)/.stamp-venv pyproject.toml
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

$(VENV)/.stamp-build: $(VENV)/.stamp-venv pyproject.toml $(RUST_SOURCES) | need-cargo
	env -u CONDA_PREFIX PIP_QUIET=1 VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/maturin develop --release --quiet --group serve
	@touch $@

no-plugin = echo "some plugins could not be installed: their tests will be skipped"

# Behind the build: pip leaves an installed granian alone where its version will do. Where only granian<3 would, and for
# versions that lie beside others, it is not asked for requirements.
$(VENV)/.stamp-plugins: $(VENV)/.stamp-deps | $(VENV)/.stamp-build
	@$(BIN)/python -m pip install --quiet --group plugins || $(no-plugin)
	@$(BIN)/python -m pip install --quiet --no-deps --group plugins-alone || $(no-plugin)
	@for plugin in $(FORMER_PLUGINS); do \
		$(BIN)/python -m pip install --quiet --no-deps --upgrade --target $(VENV)/plugins/$$plugin $$plugin || $(no-plugin); \
	done
	@touch $@
