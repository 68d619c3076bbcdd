"""What of LIBERO is for training and what is held out for evaluation; nothing is ever both.

A benchmark task has 50 recorded init states. Seeds decide where objects are moved to.
"""

from __future__ import annotations

TRAINING_INIT_STATES = range(0, 40)
EVALUATION_INIT_STATES = range(40, 50)
TRAINING_STATES_TEXT = f"{TRAINING_INIT_STATES[0]}-{TRAINING_INIT_STATES[-1]}"
EVALUATION_STATES_TEXT = f"{EVALUATION_INIT_STATES[0]}-{EVALUATION_INIT_STATES[-1]}"
"""As options and study files write them."""
EVALUATION_SEED = 1_000_000
"""Seeds from here on are never used to make demonstrations."""
TRAINING_SEEDS = range(0, EVALUATION_SEED)
