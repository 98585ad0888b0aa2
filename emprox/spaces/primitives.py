"""The universal vocabulary: what a node of a network does, and the numbers that go with it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PRIMITIVES", "SEPARATE", "NodeAttributes"]

PRIMITIVES: dict[str, str] = {
    "input": "the input of the graph",
    "output": "the output of the graph",
    "conv": "convolution with kernel, stride, dilation and groups; function 'transposed' for its transpose",
    "linear": "matrix product with a weight, over the last axis",
    "norm": "normalisation; function 'batch', 'layer', ..., or a part of one, 'scale' and 'shift'",
    "activation": "pointwise function without weights; function 'relu', 'hswish', 'hsigmoid', ...",
    "pool": "pooling over a window; function 'max' or 'avg'",
    "add": "sum of its inputs",
    "mul": "product of its inputs, broadcast over axes of size one",
    "concat": "its inputs joined along the channels, in the order of their numbers; function 'positions' for other axes",
    "split": "the first channels of its input; function 'from 8' for those from the ninth on",
    "reshape": "the same values in another shape or place; function 'flatten', 'shift', ...",
    "mean": "mean over all positions; function 'sum', 'partial', ... for other reductions",
    "matmul": "matrix product of its inputs",
    "softmax": "exponentials that sum to one",
    "upsample": "interpolation to a larger size; function 'by 2' says how many times larger",
    "embedding": "a row of a weight for each index",
    "identity": "nothing",
    "zero": "zeros in the shape of its output",
    "other": "anything else; function names it",
}
"""Kinds of nodes of a network view, with their meaning. Cell views use the operator names of their search space instead."""

WEIGHED = frozenset({"embedding", "other"})
"""Kinds of which the signature does not say how many parameters they have."""

SEPARATE = frozenset({"mul", "concat", "matmul"})
"""Kinds that take their inputs one by one; every other kind takes their sum."""


@dataclass(frozen=True, slots=True)
class NodeAttributes:
    """Numbers of one node. Sizes and kernels have one entry for each spatial axis; what does not apply stays at its default."""

    channels: int = 0
    """Channels of the output."""
    size: tuple[int, ...] = ()
    """Spatial size of the output, () where it has none."""
    kernel: tuple[int, ...] = ()
    """Window of a convolution or pooling."""
    stride: tuple[int, ...] = ()
    """Step of the window."""
    dilation: tuple[int, ...] = ()
    """Distance between the taps of a convolution."""
    groups: int = 1
    """Groups of channels that a convolution keeps apart."""
    function: str = ""
    """Which of a family: the activation, the pooling, the normalisation."""
    bias: bool = False
    """Whether a convolution or linear node has a bias, a normalisation its scale and shift."""
    parameters: int = 0
    """Trainable parameters."""
    macs: int = 0
    """Multiply-accumulates of one input; only convolutions, linear nodes and matrix products have any."""

    @property
    def signature(self) -> tuple[object, ...]:
        """The attributes that change what the node computes; sizes and multiply-accumulates follow from them.

        So do parameters, but for the kinds that are `WEIGHED`.
        """
        return (self.channels, self.kernel, self.stride, self.dilation, self.groups, self.function, self.bias)
