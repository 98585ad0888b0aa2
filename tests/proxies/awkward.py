"""Tiny networks of every awkward sort."""

import torch
from torch import Tensor, nn


def plain_net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 8, 3),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 4),
    )


class NoNorm(nn.Module):
    """Functional rectifier, mean as pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 6, 3), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.conv(x)).mean(dim=(2, 3)))


class InPlace(nn.Module):
    """Works in place on its input, on a convolution's output and on a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        x.mul_(2)
        y = self.conv(x)
        y += x
        nn.functional.relu(y, inplace=True)
        return self.head(nn.functional.adaptive_avg_pool2d(self.norm(y).relu_(), 1).flatten(1))


class Shared(nn.Module):
    """One convolution used three times, and a head tied to it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu = nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(inplace=True)
        self.again, self.head = self.conv, nn.Linear(3, 4)
        self.tied = nn.Linear(3, 4)
        self.tied.weight = self.head.weight

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(3):
            x = self.relu(self.again(x))
        x = nn.functional.adaptive_avg_pool2d(x, 1).flatten(1)
        return self.head(x) + self.tied(x)


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.head = nn.Conv2d(3, 32, 3), nn.Linear(5, 32), nn.Linear(32, 4)

    def forward(self, image: Tensor, facts: Tensor) -> Tensor:
        return self.head(nn.functional.relu(nn.functional.avg_pool2d(self.left(image), 6).flatten(1) + self.right(facts)))


class Dropping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = plain_net()
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.body(x))


class Constant(nn.Module):
    """The output does not depend on the input."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 3, 3), nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(nn.functional.adaptive_avg_pool2d(torch.relu(self.conv(x)) * 0, 1).flatten(1))


class Infected(nn.Module):
    """NaN in the middle, which no output shows."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(torch.where(x > 1, torch.nan, x))
        return self.head(torch.nan_to_num(x).mean(dim=(2, 3)))


class Broken(nn.Module):
    """Fails on every pass, after it has changed what it can reach."""

    def __init__(self) -> None:
        super().__init__()
        self.body = plain_net()

    def forward(self, x: Tensor) -> Tensor:
        torch.rand(3)
        with torch.no_grad():
            self.body[0].weight.mul_(3)
        self.body(x)
        self.eval()
        raise RuntimeError("out of order")


NETS = {
    "plain": plain_net,
    "no norm": NoNorm,
    "in place": InPlace,
    "shared": Shared,
    "dropout": Dropping,
    "frozen": lambda: plain_net().requires_grad_(False),
    "no rectifier": lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4)),
    "two inputs": TwoInputs,
    "constant": Constant,
    "infected": Infected,
    "broken": Broken,
}


def batches(name: str = "plain", n: int = 2, size: int = 8) -> list:
    generator = torch.Generator().manual_seed(1)
    made = []
    for _ in range(n):
        x = torch.randn(size, 3, 8, 8, generator=generator)
        inputs = (x, torch.randn(size, 5, generator=generator)) if name == "two inputs" else x
        made.append((inputs, torch.randint(4, (size,), generator=generator)))
    return made
