"""Architectures as numbers, nothing learned.

In: a list of `Architecture`. Out: an array with one row per architecture.
Next: `emprox.encoders` learns embeddings from them; `emprox.estimators.tabular` regresses on them directly.
"""

from emprox.encodings.base import ENCODINGS, Encoding, get_encoding
from emprox.encodings.sequence import SequenceEncoding
from emprox.encodings.tabular import OneHotEncoding, PathEncoding

__all__ = ["ENCODINGS", "Encoding", "OneHotEncoding", "PathEncoding", "SequenceEncoding", "get_encoding"]
