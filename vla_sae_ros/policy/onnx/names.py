"""What the files, inputs and outputs of an exported policy are called; said once for both sides."""

from __future__ import annotations

FORMAT = 2
EXPORT_FOLDER = "onnx"
"""Folder inside a policy's own folder where an export goes, and is looked for, by default."""
DESCRIPTION = "exported.json"
TOKENIZER = "tokenizer.json"
DECODER, DECODER_NORM = "decoder.npy", "decoder_norm.npy"
"""Decoder rows (F, d) float32 of a site's SAE, in the folder that is named like the site; and their
norms (F,), where they are not all 1."""
PREFIX, STEP, TAPPED_STEP = "prefix.onnx", "step.onnx", "step_tapped.onnx"

TOKENS, TOKEN_MASK, STATE = "tokens", "token_mask", "state"
STATE_PLACES = IN_PREFIX, IN_SUFFIX, IN_PROMPT = ("prefix", "suffix", "prompt")
"""Where the state goes in: the prefix's last token, the expert's first, or digits in the prompt."""
PICTURE_FITS = LEFT_ABOVE, ALL_ROUND = ("left_above", "all_round")
"""Where the black is put that fills a picture up to the graph's size."""
PREFIX_MASK = "prefix_mask"
X_T, TIME, VELOCITY = "x_t", "time", "velocity"
CAP = "cap"

FEATURES, OFFSET, GAIN, PROJECTION, SCOPE, READ = (
    "features",
    "offset",
    "gain",
    "projection",
    "scope",
    "read",
)
TAP_INPUTS = (FEATURES, OFFSET, GAIN, PROJECTION, SCOPE, READ)
"""Per site, over N edits and T tokens: (N,) int64, (N,), (N,), (N, N), (T, N) and (T,) float32."""

INDEX, VALUE, EDITED, RATIO, NORM, UNEXPLAINED, SPREAD, ACTIVE = (
    "index",
    "value",
    "edited",
    "ratio",
    "norm",
    "unexplained",
    "spread",
    "active",
)
TAP_OUTPUTS = (INDEX, VALUE, EDITED, RATIO, NORM, UNEXPLAINED, SPREAD)
"""Per site, over the S samples that the SAE reads and T tokens: (S, k) int64, (S, k), (S, N), (T,),
(T,), (S,) and (S,) float32.

An SAE in which more than k features may be active has `active` (F,) bool besides.
"""


def picture(camera: str) -> str:
    """Return the name of a camera's input, (1, 3, h, w) float32 in [-1, 1]."""
    return f"picture/{camera}"


def of_site(site: str, name: str) -> str:
    """Return the full name of one of a tap's inputs or outputs."""
    return f"{site}/{name}"


def caches(layers: int) -> list[str]:
    """Return the names of the backbone's keys and values, (1, heads, T, width) each."""
    return [f"{kind}/{layer}" for kind in ("keys", "values") for layer in range(layers)]
