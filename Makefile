# `make demo` explains the sample images; `make test` runs the suite on three
# backends; `make test-avx2` runs a part of it as on a CPU without AVX-512, and
# `make test-floor` on the oldest Keras that is supported; `make test-page`
# clicks through the page of `python -m keras_facnn demo` in Chromium, `make
# test-browser` through `docs/demo`, where ONNX Runtime runs a bundled preset in
# the browser; `make tutorials` runs the notebooks on little data; `make docs`
# builds the documentation in build/site. Each makes a virtual environment; none
# needs root, but to install Chromium where neither it nor a download of it is
# to be had.

PYTHON ?= python3
# On Linux, PyPI's PyTorch brings CUDA along. For the CPU build:
#   make test TORCH="torch --index-url https://download.pytorch.org/whl/cpu"
TORCH ?= torch==2.13.0
# The lowest version that `pyproject.toml` takes.
FLOOR = $(shell sed -n 's/.*"keras>=\([0-9.]*\)".*/\1/p' pyproject.toml).0

export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: demo test test-avx2 test-floor test-page test-browser tutorials docs \
	lint clean

demo: .venv-demo/ready
	KERAS_BACKEND=jax .venv-demo/bin/python -m keras_facnn explain \
		samples/*.jpg --preset cifar10 --output maps.png
	KERAS_BACKEND=jax .venv-demo/bin/python -m keras_facnn explain \
		samples/clothing/*.jpg --preset clothing --output clothing.png

# Over its processes, the suite compiles the same models many times.
test test-avx2: export JAX_COMPILATION_CACHE_DIR ?= $(CURDIR)/.venv-test/jax-compiled
test test-avx2: export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS ?= 0
# Side by side, PyTorch's threads would wait for each other by spinning.
test test-avx2: export OMP_NUM_THREADS ?= 1
test: .venv-test/ready
	$(call on_all_backends,The suite,)

# As where there is no AVX-512: other code of oneDNN, of PyTorch and of what XLA
# compiles computes then. TensorFlow asks the processor itself whether oneDNN
# can compute in half precision, which it then can't.
test-avx2: export ONEDNN_MAX_CPU_ISA = AVX2
test-avx2: export XLA_FLAGS = --xla_cpu_max_isa=AVX2
test-avx2: export ATEN_CPU_CAPABILITY = avx2
test-avx2: export MKL_ENABLE_INSTRUCTIONS = AVX2
test-avx2: .venv-test/ready
	$(call on_all_backends,A part of the suite by AVX2,-k "not mixed and not bfloat16" \
		tests/avx2.py tests/forward_test.py tests/training_test.py \
		tests/deep_alignment_test.py tests/custom_loops_test.py \
		tests/attribution/cam_test.py tests/attribution/facnn_test.py \
		tests/attribution/input_gradients_test.py \
		tests/hybrid_test.py::test_a_frozen_backbone_stays_and_a_thawed_one_learns \
		tests/hybrid_test.py::test_refuses_to_train_what_pytorch_spoils \
		tests/hybrid_test.py::test_trains_other_strided_convolutions \
		tests/presets/cifar10_test.py tests/zoo/networks_test.py)

test-floor: export JAX_COMPILATION_CACHE_DIR ?= $(CURDIR)/.venv-floor/jax-compiled
test-floor: export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS ?= 0
test-floor: .venv-floor/ready
	@echo "=== A part of the suite on Keras $(FLOOR)"
	KERAS_BACKEND=jax .venv-floor/bin/python -m pytest tests/model_test.py \
		tests/attribution/cam_test.py tests/layers \
		tests/presets/preset_test.py tests/presets/damage_test.py \
		tests/deep_alignment_test.py \
		tests/custom_loops_test.py tests/private_names_test.py

# PyTorch compiles nothing, so it starts soonest.
test-page: .venv-test/browser
	@echo "=== The page, in a browser"
	KERAS_BACKEND=torch .venv-test/bin/python -m pytest tests/page.py

test-browser: .venv-test/browser .venv-test/onnxruntime-web/ready
	@echo "=== An exported preset, in a browser"
	KERAS_BACKEND=torch .venv-test/bin/python -m pytest tests/browser.py

# In full, and with what they put out kept:
#   .venv-test/bin/python tutorials/run.py --write
tutorials: .venv-test/ready
	.venv-test/bin/python tutorials/run.py

# Sources are read, not imported. The variable turns off what Material says of
# its successor.
docs: .venv-docs/ready
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict
	@echo "=== The documentation: build/site/index.html"

lint: .venv-test/ready
	.venv-test/bin/ruff check .
	.venv-test/bin/ruff format --check .
	.venv-test/bin/mypy keras_facnn

.venv-demo/ready: pyproject.toml
	$(call make_venv,.venv-demo)
	.venv-demo/bin/python -m pip install --quiet '.[jax,plots]'
	touch $@

.venv-test/ready: pyproject.toml
	$(call make_venv,.venv-test)
	.venv-test/bin/python -m pip install --quiet $(TORCH)
	.venv-test/bin/python -m pip install --quiet --editable '.[jax,dev]'
	touch $@

# The machine's own Chromium; or Playwright's, which needs no root; or Debian's.
.venv-test/browser: .venv-test/ready
	.venv-test/bin/python -m pip install --quiet playwright
	@command -v chromium \
		|| .venv-test/bin/playwright install --only-shell chromium \
		|| { apt-get update --quiet && apt-get install --quiet --yes \
			--no-install-recommends chromium; }
	touch $@

# The version that the page names.
.venv-test/onnxruntime-web/ready: docs/demo/index.html .venv-test/ready
	@command -v npm || { echo "npm is needed, to fetch onnxruntime-web."; exit 1; }
	rm -rf $(@D) && mkdir $(@D)
	cd $(@D) && npm pack --silent onnxruntime-web@$$(sed -n \
		's|.*npm/onnxruntime-web@\([^/]*\)/.*|\1|p' ../../docs/demo/index.html)
	cd $(@D) && tar -xzf *.tgz --strip-components 1 && rm *.tgz
	touch $@

.venv-floor/ready: pyproject.toml
	$(call make_venv,.venv-floor)
	.venv-floor/bin/python -m pip install --quiet --editable '.[jax]' \
		'keras==$(FLOOR)' pytest pytest-timeout
	touch $@

.venv-docs/ready: pyproject.toml
	$(call make_venv,.venv-docs)
	.venv-docs/bin/python -m pip install --quiet --editable '.[docs]'
	touch $@

# What it is, and what it passes to pytest. The backends run side by side; what
# each says comes when it ends.
define on_all_backends
	@echo "$(1) on tensorflow, jax and torch, side by side ..."; \
	for backend in tensorflow jax torch; do \
		( KERAS_BACKEND=$$backend .venv-test/bin/python -m pytest $(2) \
			> .venv-test/$$backend.log 2>&1; \
		echo $$? > .venv-test/$$backend.status; \
		echo "=== $(1) on $$backend"; cat .venv-test/$$backend.log ) & \
	done; \
	wait; failed=; \
	for backend in tensorflow jax torch; do \
		[ "$$(cat .venv-test/$$backend.status)" = 0 ] \
			|| failed="$$failed $$backend"; \
	done; \
	if [ -n "$$failed" ]; then \
		echo "=== FAILED on:$$failed"; exit 1; \
	fi; \
	echo "=== PASSED on tensorflow, jax and torch"
endef

# Debian keeps what `venv` gets pip from in a package of its own.
define make_venv
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; set PYTHON=..."; exit 1; }
	@echo "Making $(1), once; this downloads packages ..."
	@$(PYTHON) -m venv $(1) || { \
		$(PYTHON) -m venv --clear --without-pip $(1) \
		&& $(1)/bin/python -c 'import urllib.request as u; print(u.urlopen("https://bootstrap.pypa.io/get-pip.py").read().decode())' \
			> $(1)/get-pip.py \
		&& $(1)/bin/python $(1)/get-pip.py --quiet; }
endef

clean:
	rm -rf .venv-demo .venv-test .venv-floor .venv-docs build dist *.egg-info \
		clothing.png maps.png
