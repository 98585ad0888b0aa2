"""Estimate your own torch networks from networks that were measured, and see which of those the estimate is made of.

python examples/06_score_your_own_network.py
"""

import tempfile
from pathlib import Path

import numpy as np
from torch import nn

from emprox import EmProx, get_space, load
from emprox.spaces.anything import Networks


def net(width: int, depth: int) -> nn.Module:
    """Return a plain convolutional network."""
    body = [layer for _ in range(depth) for layer in (nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())]
    return nn.Sequential(nn.Conv2d(3, width, 3), *body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))


rng = np.random.default_rng(0)
networks = Networks(input_shape=(3, 32, 32))
sizes = [(width, depth) for width in (8, 16, 32, 64) for depth in (1, 2, 4, 8)]
known = [networks.named(net(width, depth), f"{width} wide, {depth} deep") for width, depth in sizes]
known += [f"nasbench201:{cell}" for cell in get_space("nasbench201").sample(rng, 4)]
accuracy = [70 + 3 * np.log2(width) + depth / 2 + rng.normal() / 4 for width, depth in sizes]  # stands for measurements
accuracy += [93.0, 91.5, 94.0, 92.0]

with tempfile.TemporaryDirectory() as folder:
    EmProx(space=networks).fit(known, accuracy).save(Path(folder) / "model")  # graphs are saved, modules are not
    model = load(Path(folder) / "model")

candidates = {"narrow and deep": net(12, 6), "wide and shallow": net(48, 2), "a transposed cell": nn.ConvTranspose2d(3, 8, 3)}
lower, upper = model.predict_interval(candidates.values(), coverage=0.9)
for name, estimate, low, high in zip(candidates, model.predict(candidates.values()), lower, upper, strict=True):
    print(f"{name}: {estimate:.1f}, 90 % between {low:.1f} and {high:.1f}")
for row in model.explain(candidates["wide and shallow"], n_shown=3)["neighbors"]:
    print(f"  {row['architecture']}, {row['value']:.1f}: differs most in {row['differs'][0]['column']}")
