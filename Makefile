# Every task of this repository. `make run` and `make test` are the two to know.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROTOS := $(wildcard protos/epp/wire/*.proto)

.PHONY: run test soak test-foreign test-kubernetes test-charts test-vllm fuzz check format bench generated protos clean

run: $(VENV)/.up         ## Envoy, the picker and three simulated vLLM servers on 127.0.0.1:8080
	@$(BIN)/epp up $(ARGS)

test: $(VENV)/.dev       ## every test that needs no GPU and no real vLLM
	$(BIN)/python -m pytest $(ARGS)

soak: $(VENV)/.dev       ## 24,000 requests straight and 24,000 through Envoy, 512 at a time, a quarter of them given up
	SOAK_REQUESTS=24000 $(BIN)/python -m pytest -s tests/e2e/test_soak.py $(ARGS)

test-foreign: $(VENV)/.dev ## h2load and curl against the picker; they have to be there
	$(BIN)/python -m pytest tests/foreign $(ARGS)

test-kubernetes: $(VENV)/.dev ## the picker and an API server; the real one if KUBEBUILDER_ASSETS names its folder
	$(BIN)/python -m pytest tests/kubernetes $(ARGS)

test-charts: $(VENV)/.dev ## charts and manifests with the real helm and kubectl, installed on first use
	$(BIN)/python -m pytest tests/charts $(ARGS)

test-vllm: $(VENV)/.dev  ## the same path with two real vLLM servers (CPU build, installed on first use)
	$(BIN)/python -m pytest tests/vllm $(ARGS)

fuzz: $(VENV)/.fuzz      ## random HTTP/2 clients for a minute; what failed once is among the tests for good
	$(BIN)/python -m tests.fuzz.h2_core $(ARGS)

check: $(VENV)/.dev      ## lint, format, types, import layers, freshness of generated code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.generated_code

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev      ## CPU and latency of the request path beside a minimal grpc.aio picker
	$(BIN)/python -m benchmarks.request_path $(ARGS)

generated: $(VENV)/.dev  ## write deploy/epp-config.schema.json and the generated parts of docs/configuration.md
	$(BIN)/python -m tests.generated_code --write

protos: $(VENV)/.dev     ## generate epp/wire/*_pb2.py from protos/
	$(BIN)/python -m grpc_tools.protoc -I protos --python_out=. --pyi_out=. $(PROTOS)

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.up: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[up]'
	touch $@

$(VENV)/.dev: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@ $(VENV)/.up

$(VENV)/.fuzz: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[fuzz]'
	touch $@ $(VENV)/.dev $(VENV)/.up
