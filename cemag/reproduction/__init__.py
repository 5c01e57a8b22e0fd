"""The machinery of the book: data sets, training, runs and their records, claims, figures, and the build.

Nothing outside this room and the command line imports it; what others install for models of their own is
the rest of the package.
"""

from importlib.util import find_spec

from cemag.errors import extra

with extra("reproduction"):
    for package in ("filelock", "imblearn", "pebble", "PIL", "statsmodels", "torch", "torchvision"):
        if find_spec(package) is None:  # asked for at once, imported where it is used
            raise ModuleNotFoundError(name=package)
