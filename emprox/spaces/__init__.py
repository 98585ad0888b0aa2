"""What an architecture is.

In: a text, a tuple or a random generator. Out: `Architecture`, `ComputationGraph`, `torch.nn.Module`.
Next: `emprox.encodings` turns architectures into numbers.
"""

from emprox.spaces.base import SPACES, Architecture, CellBatch, SearchSpace, get_space
from emprox.spaces.descriptions import as_architectures, infer_space
from emprox.spaces.graph import ComputationGraph

__all__ = [
    "SPACES",
    "Architecture",
    "CellBatch",
    "ComputationGraph",
    "SearchSpace",
    "as_architectures",
    "get_space",
    "infer_space",
]
