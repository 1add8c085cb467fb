# make demo     upscale datasets/samples into results/ with the bundled model
# make test     run the tests, but for the slow ones
# make test-slow  run those: exports, kills, several processes, networks that are trained
# make test-avx2  the tests as a CPU without AVX-512 and bf16 would run them
# make lint     ruff, mypy, import-linter
# make kills    kill programs at random moments, 200 times (KILLS=40: fewer), and check what is left
# make fuzz     give damaged files of every format to the program (FUZZ=10000)
# make bench    time this project's engine against a plain forward pass
# make gpu      test and measure on an NVIDIA GPU, in six minutes (benchmarks/results/gpu.md)
# make example  train a small network on datasets/samples and compare it with bicubic (5 minutes)
# Each makes .venv by itself when it is missing; nothing but Python 3.11+ is needed.

PYTHON ?= python3
KILLS ?= 200
FUZZ ?= 10000
BIN := .venv/bin

.PHONY: demo example test test-slow test-avx2 lint kills fuzz bench gpu
.DEFAULT_GOAL := demo

demo: .venv/installed
	$(BIN)/python infer.py -i datasets/samples -o results --overwrite

example: .venv/installed
	sh examples/train_your_first_model.sh

test: .venv/installed-dev
	$(BIN)/python -m pytest

test-slow: .venv/installed-dev
	$(BIN)/python -m pytest -m slow

test-avx2: .venv/installed-dev
	ONEDNN_MAX_CPU_ISA=AVX2 DNNL_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 $(BIN)/python -m pytest -m ""

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

kills: .venv/installed-dev
	OMP_NUM_THREADS=1 PYTHONPATH=.:tests $(BIN)/python -m kills --kills $(KILLS)

fuzz: .venv/installed-dev
	OMP_NUM_THREADS=1 PYTHONPATH=.:tests $(BIN)/python -m fuzz.run -n $(FUZZ)

bench: .venv/installed-dev
	$(BIN)/python benchmarks/speed.py tiles

gpu: .venv/installed-dev
	$(BIN)/python benchmarks/gpu.py

.venv/installed: setup.cfg pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@
