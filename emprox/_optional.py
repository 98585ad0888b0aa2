"""Optional packages: imported when used, with one error message that names the extra to install."""

from __future__ import annotations

import importlib
from types import ModuleType

from emprox.errors import MissingDependencyError

__all__ = ["import_optional"]


def import_optional(module: str, extra: str) -> ModuleType:
    """Return the module, or raise an error that says how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"this needs the package {module!r}, which is not installed ({error}); install it with: pip install 'emprox[{extra}]'"
        ) from error
