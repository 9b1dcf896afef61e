"""The whole method once more, slowly: one image, one head, one token, one pair at a time.

Written from the formulas, in float64 and with NumPy alone, so that nothing in the package is used
to check itself. An image's tokens are (tokens, width), the class token first; "patches" are the
tokens without it.
"""

from tests.literal.basics import Array, Grid, array, layer_norm, mlp, softmax
from tests.literal.hosts import HOSTS, outlying, resclip, update
from tests.literal.inside import Inside
from tests.literal.self_attention import AttentionWeights, attention, contribution, neighbourhood
from tests.literal.techniques import affinity, enhance, hoyer, judge, replace
from tests.literal.tower import embed, encode, encode_one

__all__ = [
    "HOSTS",
    "Array",
    "AttentionWeights",
    "Grid",
    "Inside",
    "affinity",
    "array",
    "attention",
    "contribution",
    "embed",
    "encode",
    "encode_one",
    "enhance",
    "hoyer",
    "judge",
    "layer_norm",
    "mlp",
    "neighbourhood",
    "outlying",
    "replace",
    "resclip",
    "softmax",
    "update",
]
