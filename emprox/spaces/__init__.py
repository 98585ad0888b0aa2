"""What an architecture is.

In: a text, a tuple or a random generator. Out: `Architecture`, `ComputationGraph`, `torch.nn.Module`.
Next: `emprox.encodings` turns architectures into numbers.
"""

from emprox.spaces.base import CellBatch, SearchSpace, Traits, get_space
from emprox.spaces.choices import ChoiceSpace
from emprox.spaces.descriptions import as_architectures, infer_space
from emprox.spaces.family import FAMILIES, SPACES, Architecture, ArchitectureFamily, get_family
from emprox.spaces.graph import ComputationGraph
from emprox.spaces.primitives import PRIMITIVES, NodeAttributes

__all__ = [
    "FAMILIES",
    "PRIMITIVES",
    "SPACES",
    "Architecture",
    "ArchitectureFamily",
    "CellBatch",
    "ChoiceSpace",
    "ComputationGraph",
    "NodeAttributes",
    "SearchSpace",
    "Traits",
    "as_architectures",
    "get_family",
    "get_space",
    "infer_space",
]
