# `make demo` and `make test` need Python 3.10+ and make; the rest they put into .venv.
# Another interpreter: make demo PYTHON=python3.12

PYTHON ?= python3
export PYTHON
export PYRIGHT_PYTHON_IGNORE_WARNINGS = 1

.DEFAULT_GOAL := help
.PHONY: help demo test soak audit test-browser test-readers test-ray docs bench setup clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

demo: .venv/core  ## set up, then segment the bundled scenes into demo/
	.venv/bin/lhtclip demo --out demo

test: .venv/dev  ## set up, then lint, check types and run all tests
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/pyright
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n auto --dist worksteal

soak: .venv/dev  ## set up, then abuse the package for MINUTES (30) and print figures
	.venv/bin/python -m tests.soak --minutes $(or $(MINUTES),30)

audit: .venv/dev .venv-audit/done  ## set up, then look for weaknesses, in dependencies too (needs a network)
	.venv-audit/bin/bandit -q -r src -c pyproject.toml
	.venv-audit/bin/pip-audit --progress-spinner off $(foreach each,$(wildcard .venv/lib/python*/site-packages),--path $(each))

.venv-audit/done:
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/pip install -q bandit pip-audit
	touch $@

test-browser: .venv/dev  ## set up, install Chromium, then run the tests of the page
	scripts/browser
	.venv/bin/python -m pytest tests/browser

test-readers: .venv/dev .venv-readers/done  ## set up, then open our files with the programs they are for
	rm -rf .venv-readers/photos .venv-readers/files
	mkdir -p .venv-readers/photos/sub
	cp src/lhtclip/data/scenes/scene-02.png .venv-readers/photos/a.png
	cp src/lhtclip/data/scenes/scene-07.png ".venv-readers/photos/sub/ünö b.png"
	.venv/bin/lhtclip segment .venv-readers/photos --classes "dog, pizza, grass" --background "sky|water" \
		--model bundled --quiet --out .venv-readers/files --format \
		labels,margin,csv,parquet,coco,panoptic,cvat,fiftyone,hf,label-studio,labelme,voc,yolo,yolo-semantic
	LHTCLIP_READER_FILES=.venv-readers/files PYTHONPATH=.:src .venv-readers/bin/python -m pytest \
		-c /dev/null --rootdir . --confcutdir tests/readers --import-mode importlib -p no:cacheprovider tests/readers

.venv-readers/done: tests/readers/requirements.txt
	$(PYTHON) -m venv .venv-readers
	.venv-readers/bin/pip install -q -r tests/readers/requirements.txt
	touch $@

test-ray: .venv/dev .venv-ray/done  ## set up, install Ray, then run the tests that start a cluster on this machine
	.venv-ray/bin/python -m pytest tests/ray

# On top of .venv, in which `make test` would run these tests too and take much longer.
.venv-ray/done: tests/ray/requirements.txt .venv/dev
	.venv/bin/python -m venv --clear .venv-ray
	.venv/bin/python -c 'import sysconfig as s; print("import site; site.addsitedir(%r)" % s.get_path("purelib"))' \
		> "$$(.venv-ray/bin/python -c 'import sysconfig as s; print(s.get_path("purelib"))')/development.pth"
	.venv-ray/bin/python -m pip install -q -r tests/ray/requirements.txt
	touch $@

docs: .venv/dev  ## set up, then build the documentation site into site/
	.venv/bin/python -m docs.generated
	.venv/bin/zensical build --clean --strict

bench: .venv/dev  ## set up, then measure speed and memory into runs/bench/
	.venv/bin/python -m benchmarks

setup: .venv/dev  ## set up for development

clean:  ## remove everything that these targets made
	rm -rf .venv .venv-audit .venv-ray .venv-readers demo dist site .cache .pytest_cache .ruff_cache .hypothesis
	find src tests training experiments -name __pycache__ -prune -exec rm -rf {} +

# Stamps of what is installed; `dev` includes `core`.
.venv/core: pyproject.toml scripts/setup
	scripts/setup .
	touch $@

.venv/dev: pyproject.toml scripts/setup
	scripts/setup '.[dev]'
	touch .venv/core $@
