PYTHON ?= python3
VENV := .venv
DEVICE := .venv-device
TOOLS := gcc g++ clang gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm gcc-avr avr-libc simavr \
	gcc-riscv64-unknown-elf qemu-system-misc qemu-user chromium nodejs
UV := $(shell command -v uv 2>/dev/null)
UV_TORCH_BACKEND ?= cpu
export UV_TORCH_BACKEND
PACKAGES := $(foreach package,export runtime trainer,$(wildcard $(package)/*.py $(package)/*/*.py))

ifeq ($(UV),)
COST := pip downloads 3.5 GB on Linux, where torch comes with CUDA, and fills 7 GB; 0.5 GB elsewhere
INSTALL := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check
else
COST := uv downloads 0.7 GB, with torch for $(UV_TORCH_BACKEND), and fills 2.2 GB; `make UV=` takes pip
INSTALL := $(UV) pip install --quiet --python $(VENV)/bin/python
endif

.PHONY: help demo tools test test-fast test-all test-numpy test-hostile check format docs
.PHONY: coverage mutation dist containers bench bench-quick

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/installed $(DEVICE)/installed  ## train, export, then classify where there is no torch
	$(VENV)/bin/kit train --data digits --out runs/digits
	$(VENV)/bin/kit export runs/digits --format onnx --format html
	$(VENV)/bin/python examples/sample_image.py digits 0 runs/digits/sample
	$(DEVICE)/bin/python examples/deploy.py runs/digits/model.onnx runs/digits/sample.npy
	@$(MAKE) --silent $(DEVICE)/with-image
	$(DEVICE)/bin/python examples/deploy.py runs/digits/model.onnx runs/digits/sample.png
	@echo "Open runs/digits/model.html: it classifies in your browser. runs/digits/report.html is the report."

tools:  ## install, as root on Debian and Ubuntu, the compilers, emulators and the browser that some tests need
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(TOOLS)

# A thread a worker: more would wait for one another.
test: $(VENV)/installed  ## run the everyday suite
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest --numprocesses 2

test-fast: $(VENV)/installed  ## run the tests that start no processes, in under a minute
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -m "not slow and not spawns" --numprocesses 2

test-all: $(VENV)/installed  ## run the whole suite, with the slow tests
	$(VENV)/bin/python -m pytest -m ""

test-numpy: $(VENV)/installed  ## run the runtime's tests, and the hostile ones, on numpy without onnxruntime
	KIT_BACKEND=numpy OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest tests/runtime tests/hostile --numprocesses 2

test-hostile: $(VENV)/installed  ## test what SECURITY.md promises: damaged, random and malicious input, 180,000 cases
	$(VENV)/bin/python -m pytest tests/hostile -m "" --numprocesses 2

check: $(VENV)/installed  ## lint, check the types, and print how much code there is
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/python -m benchmarks.tools.size

format: $(VENV)/installed  ## mend what ruff can: unused imports and the like, then the layout
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

docs: $(VENV)/installed  ## build the documentation into docs/_build/html
	$(VENV)/bin/kit train --data digits --solver sgd --batch-size 32 --out docs/_build/digits
	$(VENV)/bin/python -m sphinx -n -W --keep-going docs docs/_build/html

bench: $(VENV)/installed  ## measure against peers, into docs/benchmarks.md; 20 minutes; KIT_DATA_DIR says where Fashion-MNIST lies
	$(VENV)/bin/python -m benchmarks.report --write docs/benchmarks.md

bench-quick: $(VENV)/installed  ## the same in a minute, with fewer images and rounds; on digits where there is no Fashion-MNIST
	$(VENV)/bin/python -m benchmarks.report --quick

coverage: $(VENV)/installed  ## run the everyday suite and list the lines that it does not reach; below 95 % is an error
	$(VENV)/bin/python -m coverage erase
	$(VENV)/bin/python -m coverage run -m pytest --numprocesses 2
	$(VENV)/bin/python -m coverage combine --quiet
	$(VENV)/bin/python -m coverage report

mutation: $(VENV)/installed  ## change the maths, the parity gate and the artefact's parser and seal; list the changes that no test notices
	rm -rf mutants
	$(VENV)/bin/mutmut run
	$(VENV)/bin/python -m tests.mutation

dist: $(VENV)/installed  ## build the sdist and the wheel into dist/, and check them
	rm -rf dist
	$(VENV)/bin/python -m build --no-isolation
	$(VENV)/bin/python -m twine check --strict dist/*

containers: $(VENV)/installed  ## check Dockerfile and Dockerfile.train, by hadolint
	$(VENV)/bin/hadolint Dockerfile Dockerfile.train

$(VENV)/installed: pyproject.toml
	@test -e $@ || echo 'Making $(VENV), once, in some minutes: $(COST).'
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --editable '.[dev]'
	@touch $@

$(DEVICE)/installed: pyproject.toml kit.py $(PACKAGES)
	@echo "Making $(DEVICE): the plain install, as on a device, 50 MB to download: numpy, onnxruntime and click."
	$(PYTHON) -m venv $(DEVICE)
	$(DEVICE)/bin/python -m pip install --quiet --disable-pip-version-check .
	@touch $@

$(DEVICE)/with-image: $(DEVICE)/installed
	@echo "Adding Pillow to $(DEVICE), to decode image files."
	$(DEVICE)/bin/python -m pip install --quiet --disable-pip-version-check '.[image]'
	@touch $@
