"""Numbers to embeddings, learned.

In: a list of `Architecture`. Out: embeddings, float32 ndarray of shape (n_archs, dim).
Next: `emprox.index` finds nearest neighbours among embeddings.
"""

from emprox.encoders.autoencoder import SequenceAutoencoder
from emprox.encoders.base import ENCODERS, Encoder
from emprox.encoders.metric import MetricEncoder
from emprox.encoders.mlkr import MLKREncoder

__all__ = ["ENCODERS", "Encoder", "MLKREncoder", "MetricEncoder", "SequenceAutoencoder"]
