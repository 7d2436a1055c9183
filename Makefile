# make demo    train and evaluate on ml-100k, print the results and a list of recommendations
# make install .venv with all of it and no more; the other targets do this by themselves
# make check   lint, types and tests
# make test-long   all tests, and 20,000 bad inputs instead of 300
# make test-fast   the tests that take no whole runs, with 20 bad inputs of each kind, in two processes
# make install-hashed   as install, with every file but torch's checked against requirements.hashes
# make sbom, make audit   what is installed (sbom.json), and which of it has known holes
# make docs    the documentation site, build/site/index.html
# make PYTHON=python3.12 test    any target with another Python; .venv is made anew for it
#
# pip's own variables (PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, ...) choose where packages, such as a torch for CPU, come from.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
RECBOLE := recbole==1.2.1
VENV := .venv
BIN := $(VENV)/bin
PY_VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
# Written last, so an interrupted installation has none and is started afresh.
INSTALLED := $(VENV)/.installed-$(PY_VERSION)
SOURCES := mml prepare_multimodal_information_file run_meta.py benchmarks tests
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Everything below runs in .venv, and the scripts take their Python from this variable.
RUN := PYTHON="$(CURDIR)/$(BIN)/python"

.PHONY: demo install install-hashed test test-long test-fast lint types docs check bench lock hashes sbom audit clean

demo: $(INSTALLED)
	$(RUN) bash script/run_meta.sh ml-100k 0
	$(RUN) bash script/print_result.sh --all ml-100k
	@echo; echo "For somebody who saw items 50 and 181:"
	@$(BIN)/python -m mml recommend ml-100k --items 50,181 --top 5

install: $(INSTALLED)

# In two processes, with the share of lines and branches that were run, which must be what pyproject.toml asks for.
test: $(INSTALLED)
	$(RUN) $(BIN)/python -m pytest -n 2 --dist loadfile --cov --cov-report=

# The tests, in two processes, with 20,000 inputs of the fuzz instead of 300.
test-long: $(INSTALLED)
	$(RUN) MML_FUZZ=20000 $(BIN)/python -m pytest -n 2 --dist loadfile

test-fast: $(INSTALLED)
	$(RUN) MML_FUZZ=20 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(INSTALLED)
	$(BIN)/mypy $(SOURCES)

# Strict: a link that leads nowhere, or a page that the contents lack, is an error.
docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

check: lint types test

bench: $(INSTALLED)
	$(RUN) $(BIN)/python -m benchmarks.run

clean:
	rm -rf $(VENV) $(VENV)-tools sbom.json build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

NO_LINK := if [ -L $(VENV) ]; then echo "make: $(VENV) is a link, and what it leads to would be emptied: remove the link" >&2; exit 1; fi

$(INSTALLED): requirements.lock setup.py
	@case "$(PY_VERSION)" in \
	  3.1[1-3]) ;; \
	  "") echo "make: '$(PYTHON)' does not run. Install Python 3.11 to 3.13, or name one: make PYTHON=python3.12" >&2; exit 1 ;; \
	  2.*|3.[0-9]|3.10) echo "make: '$(PYTHON)' is Python $(PY_VERSION); mml needs 3.11 or later: make PYTHON=python3.12" >&2; exit 1 ;; \
	  *) echo "make: warning: mml is made for Python 3.11 to 3.13, '$(PYTHON)' is $(PY_VERSION)" >&2 ;; \
	esac
	@$(NO_LINK)
	@echo "Installing into $(VENV) (Python $(PY_VERSION)), this takes a few minutes the first time ..."
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps $(RECBOLE) -e .
	@touch $@

# torch's files differ by platform and index (CUDA or CPU), so it is taken by its version, with what its build needs.
# recbole comes last, or pip would complain of what its metadata ask for.
HASHED := --no-deps --only-binary :all: --require-hashes
install-hashed:
	@$(NO_LINK)
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet $(HASHED) -r <(sed '/^recbole==/,/[^\\]$$/d' requirements.hashes)
	$(BIN)/python -m pip install --quiet "$$(grep '^torch==' requirements.lock)"
	$(BIN)/python -m pip install --quiet $(HASHED) -r requirements.hashes
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $(INSTALLED)

# Needs uv. torch brings its own CUDA packages, the right ones for each platform, so the lock names none.
lock:
	sed -n '/^#/p' requirements.lock > requirements.lock.new
	uv pip compile setup.py --extra dev --extra docs --extra images --universal --python-version 3.11 --upgrade --quiet \
	  --no-annotate --no-header --constraint <(echo torch==2.13.0) \
	  | grep -vE '^(nvidia|cuda|triton)[-=]' >> requirements.lock.new
	mv requirements.lock.new requirements.lock
	$(MAKE) --no-print-directory hashes

# Needs uv. The same versions with the checksums of their files; see requirements.hashes for what is in it.
hashes:
	sed -n '/^#/p' requirements.hashes > requirements.hashes.new
	(cat requirements.lock; echo $(RECBOLE)) | uv pip compile - --universal --python-version 3.11 --no-deps --quiet \
	  --generate-hashes --no-annotate --no-header --no-emit-package torch >> requirements.hashes.new
	mv requirements.hashes.new requirements.hashes

# What is installed, as CycloneDX, and what is known against it; a package that the database does not know fails. Both tools
# live in an environment of their own.
TOOLS := $(VENV)-tools
$(TOOLS)/bin/pip-audit:
	$(PYTHON) -m venv --clear $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet cyclonedx-bom==7.5.0 pip-audit==2.10.1

sbom: $(INSTALLED) $(TOOLS)/bin/pip-audit
	$(TOOLS)/bin/cyclonedx-py environment $(BIN)/python --output-reproducible --of JSON -o sbom.json
	@echo "Written to sbom.json."

audit: $(TOOLS)/bin/pip-audit
	$(TOOLS)/bin/pip-audit --strict --no-deps --disable-pip --require-hashes -r requirements.hashes
