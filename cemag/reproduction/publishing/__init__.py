"""From text notebooks to a rendered book: check parameters, execute what changed, lay out, render.

Writes under ``_build`` of the project and nowhere else (`run_notebook`: the one file that it is told).
"""

from cemag.reproduction.publishing.book import BuildResult, build_book, html_folder, run_notebook
from cemag.reproduction.publishing.serve import serve
from cemag.reproduction.publishing.whole import write_pdf

__all__ = ["BuildResult", "build_book", "html_folder", "run_notebook", "serve", "write_pdf"]
