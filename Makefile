# Each target uses its own virtual environment. Only `test-page` and `test-browser`
# may need root, to install Chromium.
#
#   make demo           explain the sample images; figures in build/demo
#   make test-core      run the core tests on one backend: BACKEND=torch
#   make test           run the whole suite on all backends, or on some: BACKENDS=jax
#   make test-avx2      run a part of the suite as on a CPU without AVX-512
#   make test-floor     run a part of the suite on the oldest supported Keras
#   make test-page      click through the page of `keras-facnn demo`
#   make test-browser   click through docs/demo, where ONNX Runtime runs a preset,
#                       and through the reports of an evaluation and an audit
#   make test-wheel     run the first lines of README from the wheel only
#   make tutorials      run the notebooks on little data
#   make docs           build the documentation in build/site
#   make lint           check style and types

PYTHON ?= python3
# On Linux, PyTorch from PyPI includes CUDA. For the CPU build:
#   make test TORCH="torch --index-url https://download.pytorch.org/whl/cpu"
TORCH ?= torch==2.13.0
# BACKENDS is for `make test` and `make test-avx2`, BACKEND for `make test-core`.
BACKENDS ?= tensorflow jax torch
BACKEND ?= torch
# The lowest version that `pyproject.toml` allows.
FLOOR = $(shell sed -n 's/.*"keras>=\([0-9.]*\)".*/\1/p' pyproject.toml).0

export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: demo test test-core test-avx2 test-floor test-page test-browser \
	test-wheel tutorials docs lint clean
# Several targets share an environment, and tests have time limits.
.NOTPARALLEL:

demo: .venv-demo/ready
	mkdir -p build/demo
	KERAS_BACKEND=jax .venv-demo/bin/keras-facnn explain \
		samples/imagenet/*.jpg --output build/demo/imagenet.png
	KERAS_BACKEND=jax .venv-demo/bin/keras-facnn explain \
		samples/clothing/*.jpg --preset clothing --output build/demo/clothing.png

# The processes of the suite compile the same models many times.
TESTS = test test-core test-avx2 test-floor
$(TESTS): export JAX_COMPILATION_CACHE_DIR ?= $(CURDIR)/build/jax-compiled
$(TESTS): export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS ?= 0
# When backends run in parallel, PyTorch's threads would block each other.
$(TESTS): export OMP_NUM_THREADS ?= 1

test: .venv-test/ready
	@echo "The whole suite takes 25 to 50 minutes on 2 cores, on three backends."
	.venv-test/bin/python tests/run.py $(BACKENDS) --

# Use the environment of `make test` if it exists, or else a smaller one.
CORE_VENV = $(if $(wildcard .venv-test/ready),.venv-test,.venv-core-$(BACKEND))
test-core: $(CORE_VENV)/ready
	KERAS_BACKEND=$(BACKEND) $(CORE_VENV)/bin/python -m pytest @tests/core.txt

# Run as on a CPU without AVX-512, where oneDNN, PyTorch and XLA run other code.
# TensorFlow ignores these settings when it checks whether oneDNN supports half
# precision, so the tests in half precision are left out. A CPU without AVX-512 has
# run this code in `make test`.
test-avx2: export ONEDNN_MAX_CPU_ISA = AVX2
test-avx2: export XLA_FLAGS = --xla_cpu_max_isa=AVX2
test-avx2: export ATEN_CPU_CAPABILITY = avx2
test-avx2: export MKL_ENABLE_INSTRUCTIONS = AVX2
test-avx2: .venv-test/ready
ifeq ($(shell grep -c -m1 avx512f /proc/cpuinfo 2>/dev/null),1)
	@echo "A part of the suite with AVX2:"
	.venv-test/bin/python tests/run.py $(BACKENDS) -- \
		-k "not mixed and not bfloat16" \
		tests/avx2.py tests/_backend/forward_test.py tests/training/training_test.py \
		tests/training/deep_alignment_test.py tests/training/custom_loops_test.py \
		tests/attribution/cam_test.py tests/attribution/facnn_test.py \
		tests/attribution/input_gradients_test.py \
		tests/architecture/hybrid_test.py::test_a_frozen_backbone_stays_and_a_thawed_one_learns \
		tests/architecture/hybrid_test.py::test_refuses_to_train_what_onednn_spoils \
		tests/architecture/hybrid_test.py::test_trains_other_strided_convolutions \
		tests/presets/cifar10_test.py tests/zoo/networks_test.py
else
	@echo "This CPU has no AVX-512, so it has run the code for AVX2 already."
endif

test-floor: .venv-floor/ready
	@echo "=== A part of the suite on Keras $(FLOOR)"
	KERAS_BACKEND=jax .venv-floor/bin/python -m pytest tests/model_test.py \
		tests/attribution/cam_test.py tests/layers \
		tests/presets/preset_test.py tests/presets/damage_test.py \
		tests/training/deep_alignment_test.py \
		tests/training/custom_loops_test.py tests/private_names_test.py

# PyTorch starts fastest, because it compiles nothing.
test-page: .venv-test/browser
	@echo "=== The page, in a browser"
	KERAS_BACKEND=torch .venv-test/bin/python -m pytest tests/page.py

test-browser: .venv-test/browser .venv-test/onnxruntime-web/ready
	@echo "=== An exported preset, and reports, in a browser"
	KERAS_BACKEND=torch .venv-test/bin/python -m pytest tests/browser.py \
		tests/report_page.py tests/audit_page.py

# This test makes an environment of 0.8 GB and removes it.
test-wheel: .venv-test/ready
	@echo "=== The wheel, in an empty environment"
	KERAS_BACKEND=jax .venv-test/bin/python -m pytest tests/wheel.py

# To run the notebooks on all data and keep their output:
#   .venv-test/bin/python tutorials/run.py --write
tutorials: .venv-test/ready
	.venv-test/bin/python tutorials/run.py

# mkdocstrings reads the sources without importing them. The variable turns off
# Material's notice about its successor.
docs: .venv-docs/ready
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict
	@echo "=== The documentation: build/site/index.html"

lint: .venv-test/ready
	.venv-test/bin/ruff check .
	.venv-test/bin/ruff format --check .
	.venv-test/bin/mypy keras_facnn

.venv-demo/ready: pyproject.toml
	$(call make_venv,.venv-demo,0.2 GB to download and 0.8 GB on disk)
	.venv-demo/bin/python -m pip install --quiet '.[jax,plots]'
	touch $@

.venv-core-%/ready: pyproject.toml
	$(call make_venv,$(@D),up to 0.6 GB to download and 2.4 GB on disk)
	[ $* != torch ] || $(@D)/bin/python -m pip install --quiet $(TORCH)
	$(@D)/bin/python -m pip install --quiet --editable '.[$*,plots,test]'
	touch $@

.venv-test/ready: pyproject.toml
	$(call make_venv,.venv-test,1.5 GB to download and 5.1 GB on disk (several more where PyTorch brings CUDA))
	.venv-test/bin/python -m pip install --quiet $(TORCH)
	.venv-test/bin/python -m pip install --quiet --editable '.[jax,dev]'
	touch $@

# Use an installed Chromium. Otherwise install Playwright's, which needs no root, or
# Debian's if that fails.
.venv-test/browser: .venv-test/ready
	.venv-test/bin/python -m pip install --quiet playwright
	@command -v chromium \
		|| .venv-test/bin/playwright install --only-shell chromium \
		|| { apt-get update --quiet && apt-get install --quiet --yes \
			--no-install-recommends chromium; }
	touch $@

# Fetch the version of onnxruntime-web that the page loads.
.venv-test/onnxruntime-web/ready: docs/demo/index.html .venv-test/ready
	@command -v npm || { echo "npm is needed, to fetch onnxruntime-web."; exit 1; }
	rm -rf $(@D) && mkdir $(@D)
	cd $(@D) && npm pack --silent onnxruntime-web@$$(sed -n \
		's|.*npm/onnxruntime-web@\([^/]*\)/.*|\1|p' ../../docs/demo/index.html)
	cd $(@D) && tar -xzf *.tgz --strip-components 1 && rm *.tgz
	touch $@

.venv-floor/ready: pyproject.toml
	$(call make_venv,.venv-floor,0.2 GB to download and 0.7 GB on disk)
	.venv-floor/bin/python -m pip install --quiet --editable '.[jax,test]' \
		'keras==$(FLOOR)'
	touch $@

.venv-docs/ready: pyproject.toml
	$(call make_venv,.venv-docs,0.1 GB to download)
	.venv-docs/bin/python -m pip install --quiet --editable '.[docs]'
	touch $@

# Make the virtual environment $(1), which takes $(2). On Debian, the pip that `venv`
# installs is in a separate package, which may be missing.
define make_venv
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; set PYTHON=..."; exit 1; }
	@echo "Making $(1), once, with $(2) ..."
	@$(PYTHON) -m venv $(1) || { \
		$(PYTHON) -m venv --clear --without-pip $(1) \
		&& $(1)/bin/python -c 'import urllib.request as u; print(u.urlopen("https://bootstrap.pypa.io/get-pip.py").read().decode())' \
			> $(1)/get-pip.py \
		&& $(1)/bin/python $(1)/get-pip.py --quiet; }
endef

clean:
	rm -rf .venv-demo .venv-core-* .venv-test .venv-floor .venv-docs \
		build dist *.egg-info
