# `make help` lists the targets. Nothing has to be installed or sourced first.

# .venv has its own ROS: a sourced install's Python packages must not come between.
ROS_VARIABLES = PYTHONPATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH LD_LIBRARY_PATH
unexport $(filter-out $(if $(filter ros,$(MAKECMDGOALS)),$(ROS_VARIABLES)),$(ROS_VARIABLES)) \
  _ROS_WHEELS_BOOTSTRAP_COMPLETE

PYTHON_SOURCES = vla_sae_ros test launch setup.py tools examples bench
WORKERS = 2

.PHONY: help setup ros demo docs screenshots test lint lock clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

setup:  ## make .venv: Python 3.12, all packages, the ROS messages, system libraries
	@PYTHON="$(PYTHON)" SET="$(SET)" tools/setup.sh

ros:  ## make .venv-ros for a sourced ROS installation: its packages and no ROS of its own
	@PYTHON="$(PYTHON)" SET="$(SET)" tools/ros.sh

demo: setup  ## one LIBERO task (TASK=0), plain and steered; leaves out/demo/ or out/demo_task_N/
	@.venv/bin/vla-sae demo $(if $(TASK),--task $(TASK) --output out/demo_task_$(TASK))

docs: setup  ## build the site of docs/ and the reference into out/site/
	@NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet && echo out/site/index.html

screenshots: setup  ## the pictures of the panel in docs/; needs Xvfb
	@.venv/bin/python tools/screenshots.py

test: setup  ## the whole test suite, in WORKERS=2 processes
	@.venv/bin/python -m pytest -n $(WORKERS)

lint: setup  ## ruff, the formatter and mypy
	@.venv/bin/ruff check $(PYTHON_SOURCES)
	@.venv/bin/ruff format --check --quiet $(PYTHON_SOURCES)
	@.venv/bin/mypy

lock: setup  ## resolve requirements.lock and requirements/*.lock anew from pyproject.toml
	@.venv/bin/python tools/lock.py "$$(command -v uv || echo build/uv/bin/uv)"

clean:  ## remove what was built and what runs left behind; keep .venv
	rm -rf build install log out .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find vla_sae_ros test launch -name __pycache__ -prune -exec rm -rf {} +
