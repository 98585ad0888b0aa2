"""Measured cells in, the best of the unmeasured ones out, with the neighbours as the explanation.

python examples/01_estimate_unmeasured_cells.py
"""

import numpy as np

from emprox import EmProx, get_space, load_table

table = load_table("bundled")
name, accuracy = table.target("val_accuracy")
test, train = table.split(train_size=100, test_size="rest", seed=0)

estimator = EmProx(random_state=0).fit([table.architectures[i] for i in train], accuracy[train])
estimates = estimator.predict([table.architectures[i] for i in test])
print(f"mean absolute error on {len(test)} other measured cells: {np.abs(estimates - accuracy[test]).mean():.2f} {name}")

candidates = get_space("nasbench201").sample(np.random.default_rng(0), 1000)
values, stds = estimator.predict(candidates, return_std=True)
best = int(values.argmax())
print(f"the best of 1,000 random cells: {candidates[best]}")
print(f"estimate {values[best]:.1f}, standard deviation {stds[best]:.1f}; its nearest measured cells:")
for row in estimator.explain(candidates[best])["neighbors"][:3]:
    print(f"  {row['architecture']}  accuracy {row['value']:.1f}, distance {row['distance']:.3f}, weight {row['weight']:.2f}")
