"""Other packages' own terms: emprox estimators inside NASLib, and NASLib's predictors as emprox estimators.

In: a host package's architectures and optimizers. Out: estimates in the form that the host asks for.
Next: the host.
"""

__all__: list[str] = []
