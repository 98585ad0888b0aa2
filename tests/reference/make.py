"""Write the golden values that tests/test_golden.py compares with: ``python tests/reference/make.py``."""

import json
from pathlib import Path

import numpy as np

from emprox import EmProx, XGBoost, get_space

PATH = Path(__file__).with_name("golden.json")
SPACE = get_space("nasbench201")


def compute() -> dict[str, list]:
    """Return hashes, embeddings and estimates on fixed cells with invented accuracies."""
    rng = np.random.default_rng(2022)
    known, asked = SPACE.sample(rng, 30), SPACE.sample(rng, 6)
    accuracy = [90 - 2.5 * a.spec.count(1) + 0.5 * a.spec.count(2) for a in known]
    paper = EmProx.paper(k=5, epochs=5, random_state=0).fit(known, accuracy)
    estimates, std = paper.predict(asked, return_std=True)
    return {
        "hashes": [SPACE.canonical_hash(a) for a in asked],
        "embedding": paper.encoder_.transform(asked[:1])[0, :8].astype(float).round(5).tolist(),
        "emprox-paper": estimates.round(4).tolist(),
        "emprox-paper std": std.round(4).tolist(),
        "xgboost": XGBoost(n_estimators=50).fit(known, accuracy).predict(asked).round(4).tolist(),
    }


if __name__ == "__main__":
    PATH.write_text(json.dumps(compute(), indent=1) + "\n")
