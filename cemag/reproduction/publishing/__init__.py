"""From text notebooks to a rendered book: check parameters, execute what changed, lay out, render.

Writes under ``_build`` of the project and nowhere else (`run_notebook`: the one file that it is told).
"""

from cemag.reproduction.publishing.book import (
    BuildResult,
    altered_pages,
    build_book,
    html_folder,
    run_notebook,
    why,
)
from cemag.reproduction.publishing.cache import altered_copies
from cemag.reproduction.publishing.serve import serve
from cemag.reproduction.publishing.whole import write_pdf

__all__ = [
    "BuildResult",
    "altered_copies",
    "altered_pages",
    "build_book",
    "html_folder",
    "run_notebook",
    "serve",
    "why",
    "write_pdf",
]
