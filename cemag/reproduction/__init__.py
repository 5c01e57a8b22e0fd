"""The machinery of the book: data sets, training, runs and their records, claims, figures, and the build.

Nothing outside this room and the command line imports it; what others install for models of their own is
the rest of the package.
"""
