"""The whole book as one page and as a PDF, from its finished pages, in the order of its contents."""

from __future__ import annotations

import posixpath
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cemag.errors import CemagError

__all__ = ["BROWSERS", "one_page", "write_pdf"]

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARTICLE = re.compile(r'<article class="bd-article">(.*?)</article>', re.S)
ENTRY = re.compile(r'<a class="reference internal" href="([^"#]+\.html)"')
NAME = re.compile(r'\b(id|aria-labelledby|for)="([^"]+)"')
LINK = re.compile(r'\b(href|src)="([^"]+)"')
CLIP = re.compile(r"url\(#")
SCRIPT = re.compile(r"<script\b.*?</script>|<iframe\b.*?</iframe>|<button\b.*?</button>", re.S)
STYLE = """\
body { margin: 0; color: #111; background: #fff; font: 10.5pt/1.45 Georgia, "Times New Roman", serif; }
h1, h2, h3, h4, figcaption, table, .cemag-drawn { font-family: system-ui, "Segoe UI", sans-serif; }
section.cemag-page { break-before: page; }
section.cemag-page:first-of-type { break-before: auto; }
h1, h2, h3, h4 { break-after: avoid; line-height: 1.2; }
a { color: inherit; text-decoration: none; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 8.5pt; background: #f4f4f4; padding: 0.5em; }
code { font-size: 0.9em; overflow-wrap: anywhere; }
table { border-collapse: collapse; font-size: 8pt; width: 100%; }
th, td { border-bottom: 1px solid #bbb; padding: 0.25em 0.4em; text-align: left; vertical-align: top;
  overflow-wrap: anywhere; }
figure { margin: 0.8em 0; }
figcaption { font-size: 9pt; }
tr, .cemag-drawn, img { break-inside: avoid; }
img { max-width: 100%; }
.cemag-drawn svg { max-width: 100%; max-height: 235mm; height: auto; }
.headerlink, details.hide > summary, .cemag-copy, .cemag-hint, .toctree-wrapper.compound,
details:not([open]) > :not(summary),
.cemag-details { display: none; }
.verdict { font-weight: 600; }
table.cemag-gallery img { width: 22px; height: 22px; }
.math { text-align: center; }
@page { size: A4; margin: 18mm 16mm; @bottom-center { content: counter(page); font: 9pt sans-serif; } }
"""


def one_page(folder: Path) -> str:
    """Return a finished book as one page of HTML, links between its pages kept within it.

    Parameters
    ----------
    folder : Path
        Of the finished pages.
    """
    first = "book/index.html"
    contents = (folder / first).read_text(encoding="utf-8")
    navigation = contents.partition('<nav class="bd-links')[2].partition("</nav>")[0]
    listed = [posixpath.normpath(posixpath.join("book", entry)) for entry in ENTRY.findall(navigation)]
    names = list(dict.fromkeys([first, *(name for name in listed if (folder / name).is_file())]))
    parts = [_part(name, (folder / name).read_text(encoding="utf-8"), names) for name in names]
    title = re.search(r"<title>(.*?)</title>", contents, re.S)
    head = f'<meta charset="utf-8"><title>{title[1] if title else ""}</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>'


def _part(name: str, page: str, names: Sequence[str]) -> str:
    """The article of a page, every name in it marked with the page's, every link led within the book."""
    found = ARTICLE.search(page)
    article = SCRIPT.sub("", found[1] if found else "")
    here, mark = posixpath.dirname(name), _mark(name)

    def led(link: re.Match[str]) -> str:
        address, _, anchor = link[2].partition("#")
        if re.match(r"[a-z]+:", link[2]):
            return link[0]
        target = posixpath.normpath(posixpath.join(here, address)) if address else name
        if target not in names:
            return f'{link[1]}="{target}"'
        return f'{link[1]}="#{_mark(target)}{"-" + anchor if anchor else ""}"'

    article = LINK.sub(led, article)
    article = NAME.sub(lambda one: f'{one[1]}="{mark}-{one[2]}"', article)
    return f'<section class="cemag-page" id="{mark}">{CLIP.sub(f"url(#{mark}-", article)}</section>'


def _mark(name: str) -> str:
    return "page-" + name.removesuffix(".html").replace("/", "-")


def write_pdf(folder: Path, target: Path) -> Path:
    """Print a finished book to a PDF with a browser that is installed; it needs no network.

    Raises
    ------
    CemagError
        If there is no book, no browser, or the browser prints nothing.
    """
    if not (folder / "book" / "index.html").is_file():
        raise CemagError(f"no book at {folder}: build it first with `cemag book`")
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise CemagError(f"a PDF needs a browser to print it: install one of {', '.join(BROWSERS)}")
    page = folder / "whole.html"
    page.write_text(one_page(folder), encoding="utf-8")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
        command = [
            browser,
            *options,
            "--no-pdf-header-footer",
            f"--print-to-pdf={target.resolve()}",
            page.as_uri(),
        ]
        target.unlink(missing_ok=True)
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode != 0 or not target.is_file():
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise CemagError(f"{browser} printed no PDF: {last}")
    return target
