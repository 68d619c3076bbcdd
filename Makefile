# `make help` lists the targets. Nothing has to be installed or sourced first.

# .venv has its own ROS: a sourced install's Python packages must not come between.
unexport PYTHONPATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE

PYTHON_SOURCES = vla_sae_ros test launch setup.py tools examples bench
EXTRAS = policy families sim envs panel robot rehearsal study onnx export ray
WORKERS = 2

.PHONY: help setup demo screenshots test lint lock clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

setup:  ## make .venv: Python 3.12, all packages, the ROS messages, system libraries
	@PYTHON="$(PYTHON)" tools/setup.sh

demo: setup  ## one LIBERO task, plain and steered; leaves out/demo/
	@.venv/bin/vla-sae demo

screenshots: setup  ## the pictures of the panel in docs/; needs Xvfb
	@.venv/bin/python tools/screenshots.py

test: setup  ## the whole test suite, in WORKERS=2 processes
	@.venv/bin/python -m pytest -n $(WORKERS) --dist loadgroup

lint: setup  ## ruff, the formatter and mypy
	@.venv/bin/ruff check $(PYTHON_SOURCES)
	@.venv/bin/ruff format --check --quiet $(PYTHON_SOURCES)
	@.venv/bin/mypy

lock: setup  ## resolve requirements.lock anew from pyproject.toml
	@.venv/bin/python -c 'import tomllib; \
	  print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
	| uv pip compile pyproject.toml - $(addprefix --extra ,$(EXTRAS)) --group dev \
	  --generate-hashes --no-annotate --no-emit-index-url --no-emit-find-links \
	  --python-version 3.12 --python-platform x86_64-manylinux_2_28 \
	  --custom-compile-command "make lock" --quiet --output-file requirements.lock

clean:  ## remove what was built and what runs left behind; keep .venv
	rm -rf build install log out .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find vla_sae_ros test launch -name __pycache__ -prune -exec rm -rf {} +
