"""What the theme would load and no page needs is taken out of the finished pages.

The theme brings every icon of a library (1.5 MB) for a dozen, rules for widgets that no page has, and its
search on every page. Here the icons in use become style rules, rules that match nothing go, and what only
the page of the search needs is loaded there alone. Nothing is vendored: the icons come from the theme.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

__all__ = ["excerpts", "icon_rules", "lighten", "used_rules"]

THEME_STYLES = "pydata-sphinx-theme.css"
LIGHT = "/* rules that no page needs are left out */\n"
ICON_LIBRARY = "_static/scripts/fontawesome.js"
ICON = re.compile(r'"?([\w-]+)"?:\[(\d+),(\d+),\[([^\]]*)\],"([0-9a-f]+)","([^"]+)"\]')
SHOWN_BY_FONT = re.compile(r'(--pst-icon-[\w-]+|--pst-breadcrumb-divider):"\\([0-9a-f]+)"')
GREY = "#767676"  # as far from white as from the dark pages' ground
NEEDED_BY_SEARCH = ("searchtools.js", "language_data.js", "searchindex.js")
UNUSED = ("fontawesome.js", "sphinx-thebe.js")
SCRIPT = re.compile(r"\s*<script\b[^>]*>.*?</script>", re.S)
PRELOAD = re.compile(r'\s*<link rel="preload" as="script"[^>]*>')
MAIN = re.compile(r"<article\b[^>]*>(.*?)</article>", re.S)
UNSEEN = re.compile(r"<(script|style|svg|nav)\b.*?</\1>|<(?!section\b|/section)[^>]+>", re.S)
SECTION = re.compile(r'<section\b[^>]*?(id="[^"]*")[^>]*>')


def lighten(folder: Path) -> None:
    """Bring a folder of finished pages to what it needs; twice does no more than once.

    Parameters
    ----------
    folder : Path
        Of HTML, with the theme's files in ``_static``.
    """
    pages = [path for path in sorted(folder.rglob("*.html")) if "_static" not in path.parts]
    texts = {path: _without_unused(path.read_text(encoding="utf-8"), path.stem == "search") for path in pages}
    for path, text in texts.items():
        if text != path.read_text(encoding="utf-8"):
            path.write_text(text, encoding="utf-8")
    scripts = [p.read_text(encoding="utf-8") for p in sorted(folder.glob("_static/**/*.js")) if _speaks(p)]
    _lighten_styles(folder, [*texts.values(), *scripts])
    stored = {p.relative_to(folder).as_posix(): text for p, text in texts.items() if p.stem != "search"}
    script = f"window.cemagPages={json.dumps(excerpts(stored), separators=(',', ':'))};\n"
    (folder / "_static" / "search-pages.js").write_text(script, encoding="utf-8")
    (folder / ICON_LIBRARY).unlink(missing_ok=True)
    shutil.rmtree(folder / "_static/vendor/fontawesome", ignore_errors=True)
    for other in [*folder.glob("_static/**/*.css.map"), *folder.glob("_static/**/*.js.map")]:
        other.unlink()


def _speaks(script: Path) -> bool:
    """Whether a script may name a class that a page gets later."""
    return script.parent.name not in ("charts", "explorer") and script.name not in (
        "fontawesome.js",
        "vega-bundle.js",
        "search-pages.js",
    )


def _without_unused(page: str, is_search: bool) -> str:
    unused = UNUSED if is_search else (*UNUSED, *NEEDED_BY_SEARCH)

    def kept(found: re.Match[str]) -> str:
        opening = found[0].partition(">")[0]
        named = any(name in opening for name in unused)
        return "" if named or "THEBE_JS_URL" in found[0] else found[0]

    page = SCRIPT.sub(kept, PRELOAD.sub("", page))
    if is_search and "search-pages.js" not in page:
        loaded = (
            '<script src="_static/search-pages.js"></script>\n<script src="_static/search-files.js"></script>'
        )
        page = page.replace("</head>", f"{loaded}\n</head>")
    return page


def _lighten_styles(folder: Path, texts: Iterable[str]) -> None:
    words = {word for text in texts for word in re.findall(r"[\w-]+", text)}
    library = folder / ICON_LIBRARY
    icons = library.read_text(encoding="utf-8") if library.is_file() else ""
    coded = {icon[5]: icon for icon in ICON.finditer(icons)}

    def drawn(found: re.Match[str]) -> str:
        icon = coded.get(found[2])
        return found[1] + ":" + (_image(icon, GREY) if icon else '""')

    for path in sorted(folder.glob("_static/**/*.css")):
        styles = _whole(path)
        light = "".join(used_rules(SHOWN_BY_FONT.sub(drawn, styles), words))
        is_theme = path.name == THEME_STYLES
        path.write_text(LIGHT + light + (icon_rules(icons, words) if is_theme else ""), encoding="utf-8")


def _whole(path: Path) -> str:
    """A style sheet as it came, kept beside what was left of it: another page may need another rule."""
    kept, styles = path.with_suffix(".css.whole"), path.read_text(encoding="utf-8")
    if styles.startswith(LIGHT):
        return kept.read_text(encoding="utf-8")
    kept.write_text(styles, encoding="utf-8")
    return styles


def _image(icon: re.Match[str], colour: str = "black") -> str:
    width, height = icon[2], icon[3]
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="14" height="14" viewBox="0 0 {width} {height}">'
        f'<path fill="{colour}" d="{icon[6]}"/></svg>'
    )
    return f'url("data:image/svg+xml,{quote(svg, safe=" =:/")}")'.replace("%22", "'")


def icon_rules(library: str, words: set[str]) -> str:
    """Style rules for the icons of a library that are among some words, drawn in the colour of the text.

    Examples
    --------
    >>> library = '{"sun":[512,512,[9728],"f185","M1 2z"],"moon":[384,512,["night"],"f186","M3 4z"]}'
    >>> rules = icon_rules(library, {"fa-solid", "fa-night"})
    >>> "M3%204z" in rules or "M3 4z" in rules, "M1" in rules, ".fa-night" in rules
    (True, False, True)
    """
    found: dict[str, re.Match[str]] = {}
    for icon in ICON.finditer(library):
        for name in (icon[1], *re.findall(r'"([\w-]+)"', icon[4])):
            if f"fa-{name}" in words:
                found.setdefault(name, icon)
    shape = (
        ".fa,.fas,.far,.fab,.fa-solid,.fa-regular,.fa-brands{display:inline-block;width:1em;height:1em;"
        "vertical-align:-.125em;background:currentColor;-webkit-mask:var(--icon) center/contain no-repeat;"
        "mask:var(--icon) center/contain no-repeat}.fa-lg{font-size:1.25em}"
    )
    return shape + "".join(f".fa-{name}{{--icon:{_image(icon)}}}" for name, icon in sorted(found.items()))


def used_rules(styles: str, words: set[str]) -> Iterator[str]:
    """The rules of a style sheet that can match: all classes of a selector are among some words.

    Examples
    --------
    >>> "".join(used_rules(".a,.b .c{x:1}@media print{.b{y:2}.a{z:3}}@media screen{.b{y:2}}", {"a", "c"}))
    '.a{x:1}@media print{.a{z:3}}'
    """
    for head, block in _blocks(re.sub(r"/\*.*?\*/", "", styles, flags=re.S)):
        head = head.strip()
        if not block:
            yield f"{head};" if head else ""
        elif head.startswith(("@media", "@supports")):
            if inner := "".join(used_rules(block, words)):
                yield f"{head}{{{inner}}}"
        elif head.startswith("@font-face"):
            if "Font Awesome" not in block and "FontAwesome" not in block:
                yield f"{head}{{{block}}}"
        elif head.startswith("@keyframes"):
            if "fa-" not in head:
                yield f"{head}{{{block}}}"
        elif head.startswith("@"):
            yield f"{head}{{{block}}}"
        else:
            kept = [one for one in _selectors(head) if _can_match(one, words)]
            if kept:
                yield f"{','.join(kept)}{{{block}}}"


def _can_match(selector: str, words: set[str]) -> bool:
    plain = re.sub(r"\[[^\]]*\]|:not\((?:[^()]|\([^()]*\))*\)", "", selector)
    classes = [name.replace("\\", "") for name in re.findall(r"\.((?:[\w-]|\\.)+)", plain)]
    icons = [name for name in classes if name in ("fa", "fas", "far", "fab") or name.startswith("fa-")]
    return not icons and all(name in words or not re.fullmatch(r"[\w-]+", name) for name in classes)


def _selectors(head: str) -> list[str]:
    """Parts of a list of selectors; commas within brackets part nothing."""
    parts, depth = [""], 0
    for letter in head:
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def _blocks(styles: str) -> Iterator[tuple[str, str]]:
    """What stands before each pair of braces, and within; an empty block for a statement without."""
    depth, start, head, quoted = 0, 0, "", ""
    for place, letter in enumerate(styles):
        if quoted:
            if letter == quoted and styles[place - 1] != "\\":
                quoted = ""
        elif letter in "\"'":
            quoted = letter
        elif letter == "{":
            if depth == 0:
                head, start = styles[start:place], place + 1
            depth += 1
        elif letter == "}":
            depth -= 1
            if depth == 0:
                yield head, styles[start:place]
                start = place + 1
        elif letter == ";" and depth == 0:
            yield styles[start:place], ""
            start = place + 1


def excerpts(pages: Mapping[str, str]) -> dict[str, str]:
    r"""The words of each page, for the search to quote from where pages cannot be fetched.

    Examples
    --------
    >>> page = "<nav>n</nav><article><section class='x' id=\"one\"><h1>One</h1>two</section></article>"
    >>> excerpts({"a.html": page})
    {'a.html': '<section id="one"> One two</section>'}
    """
    found = {name: MAIN.search(page) for name, page in pages.items()}
    seen = {name: UNSEEN.sub(" ", main[1]) for name, main in found.items() if main}
    return {name: " ".join(SECTION.sub(r"<section \1>", text).split()) for name, text in seen.items()}
