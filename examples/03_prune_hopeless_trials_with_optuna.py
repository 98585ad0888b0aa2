"""An Optuna study whose objective first asks a scorer, and trains only what is not hopeless.

python examples/03_prune_hopeless_trials_with_optuna.py        needs pip install optuna
"""

import numpy as np
import optuna

from emprox import EmProx, get_space, load_table

table = load_table("bundled")
name, accuracy = table.target("val_accuracy")
measured = dict(zip(table.architectures, accuracy, strict=True))  # stands for training a network
space = get_space("nasbench201")

known = table.architectures[:100]
scorer = EmProx().fit(known, accuracy[:100]).as_scorer()
hopeless = float(np.quantile(accuracy[:100], 0.75))
candidates = [str(architecture) for architecture in table.architectures[100:]]
trained = []


def objective(trial: optuna.Trial) -> float:
    architecture = space.parse(trial.suggest_categorical("architecture", candidates))
    estimate = scorer(architecture)
    trial.set_user_attr("estimate", estimate)
    if estimate < hopeless:
        raise optuna.TrialPruned
    trained.append(architecture)
    return measured[architecture]


optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
study.optimize(objective, n_trials=60, n_jobs=2)
print(f"trained {len(trained)} of {len(study.trials)} proposals, {name} {np.mean([measured[a] for a in trained]):.1f} on average")
print(f"average of all candidates: {accuracy[100:].mean():.1f}")
best = study.best_trial
print(f"best: {best.params['architecture']}, {best.value:.1f}, estimated {best.user_attrs['estimate']:.1f}")
