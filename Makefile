# Everything runs in .venv, which the first target that needs it makes.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
BENCH_FOLDERS ?= demo-output/photos

# Small matrix products only get slower when OpenBLAS and OpenMP share them out.
export OMP_NUM_THREADS ?= 1

# What reads or writes where nothing is, or leaves the C standard, ends the tests at once.
SANITIZERS := address,undefined,float-cast-overflow,float-divide-by-zero
# Golden files, every instruction set, every kind of network, screen and colours, JPEG, deflate,
# TIFF, damaged files.
BITS := tests/exactness/test_same_bits.py::test
SANITIZED_TESTS := tests/vectors/test_vectors.py tests/exactness/test_predictor_bits.py \
	$(BITS)_every_instruction_set_writes_and_reads_the_same_bytes \
	$(BITS)_networks_of_all_sizes_give_the_bytes_of_torch tests/unit/test_native_structs.py \
	tests/unit/test_screen.py tests/unit/test_colours.py tests/hostile/test_seec_damage.py \
	tests/unit/test_jpeg_files.py tests/hostile/test_mutations.py tests/unit/test_dct.py tests/unit/test_planes.py \
	tests/unit/test_deflate.py tests/hostile/test_deflate_streams.py tests/unit/test_gzip_members.py \
	tests/unit/test_tiff.py tests/unit/test_ljpeg.py tests/unit/test_deep.py tests/hostile/test_deep_damage.py

.PHONY: help lock demo test test-all gauntlet sweep faults sanitize sanitized fuzz check bench docs words dist \
	clean

help:
	@echo "make demo      archive, verify and restore photographs; sizes against PNG, WebP, JPEG XL"
	@echo "make test      the quick tests"
	@echo "make test-all  all tests"
	@echo "make gauntlet  archive and restore hostile and odd files, within bounds of time and memory"
	@echo "make sweep     kill jobs at each of their write points, and finish them"
	@echo "make faults    let each request of whole jobs fail in each way that it can"
	@echo "make sanitize  test C extensions that report undefined behaviour and bad accesses (gcc)"
	@echo "make fuzz      mutate whatever C code reads, 100,000 times each, sanitised; MUTATIONS=n for others"
	@echo "make check     ruff, pyright, import rules"
	@echo "make bench     rate and speed next to the peers; BENCH_FOLDERS='a b' for your images"
	@echo "make docs      build the site into build/site, without warnings"
	@echo "make words     measure the prose of README, docs, docstrings and comments"
	@echo "make dist      source distribution and wheel (manylinux where the machine can), into dist"
	@echo "make lock      resolve the dependencies, and write their hashes; LOCK=--upgrade for new versions"
	@echo "make clean     remove what these targets made"

$(INSTALLED): pyproject.toml setup.py requirements.lock requirements-cpu.lock requirements-cuda.lock \
		pipeline/codec/native/_kernels.c \
		pipeline/codec/screen/_screen.c pipeline/codec/colours/_colours.c \
		pipeline/dct/_jpeg.c pipeline/dct/_dct.c pipeline/deflate/_deflate.c pipeline/images/_pieces.c pipeline/deep/_deep.c \
		$(wildcard pipeline/dct/jpeg_c/*.h pipeline/dct/coder_c/*.[ch] pipeline/deflate/deflate_c/*.h) \
		$(wildcard pipeline/images/pieces_c/*.h pipeline/deep/deep_c/*.[ch]) \
		$(wildcard pipeline/codec/native/kernels_c/*.[ch] pipeline/codec/screen/screen_c/*.h)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11, 5) and "make needs Python 3.11.5 or later")'
	$(PYTHON) -m venv .venv
	$(PIP) --require-hashes --no-deps --requirement requirements.lock
	$(PIP) --require-hashes --no-deps --requirement requirements-cpu.lock 2>/dev/null \
		|| $(PIP) --require-hashes --no-deps --requirement requirements-cuda.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	touch $@

lock: $(INSTALLED)
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python .ci/lock.py $(LOCK)

demo: $(INSTALLED)
	$(BIN)/python -m seec.jobs.demo

test: $(INSTALLED)
	.ci/test $(BIN)/python

test-all: $(INSTALLED)
	$(BIN)/python -m pytest

gauntlet: $(INSTALLED)
	$(BIN)/python -m tests.torture.gauntlet

sweep: $(INSTALLED)
	$(BIN)/python -m tests.faults.sweep

faults: $(INSTALLED)
	$(BIN)/python -m tests.faults.fault_sweep

SANITIZED := LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
	ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 $(BIN)/python

sanitized: $(INSTALLED)
	CFLAGS="-O1 -g -fno-omit-frame-pointer -fsanitize=$(SANITIZERS) -fno-sanitize-recover=all" \
		$(BIN)/python setup.py -q build_ext --build-lib build/sanitize \
		--build-temp build/sanitize-objects

sanitize: sanitized
	$(SANITIZED) -m pytest -p tests.sanitised -k "not torch:cpu" $(SANITIZED_TESTS)

MUTATIONS ?= 100000
fuzz: sanitized
	$(SANITIZED) -m tests.hostile.fuzz --sanitised $(MUTATIONS)

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports --no-logo

bench: $(INSTALLED) | $(BENCH_FOLDERS)
	$(BIN)/seec bench $(BENCH_FOLDERS) --plot bench.png

# The variable silences a notice of mkdocs-material about other programs.
docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

words: $(INSTALLED)
	$(BIN)/python docs/tools/word_measure.py

# auditwheel names the oldest Linux that the wheel runs on; elsewhere the wheel stays as built.
dist: $(INSTALLED)
	rm -rf dist build/dist
	$(BIN)/python -m build --no-isolation --outdir build/dist .
	mkdir -p dist
	mv build/dist/*.tar.gz dist/
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/auditwheel repair --wheel-dir dist build/dist/*.whl \
		|| mv build/dist/*.whl dist/

demo-output/photos: | $(INSTALLED)
	$(BIN)/python -m seec.jobs.demo

clean:
	rm -rf .venv build dist demo-output bench.png *.egg-info pipeline/codec/*/*.so pipeline/dct/*.so \
		pipeline/deflate/*.so pipeline/deep/*.so
