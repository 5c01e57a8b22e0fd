"""LaTeX mathematics as MathML, which browsers draw without a script; what they would not draw is refused.

latex2mathml prints a command that it does not know, and browsers ignore what is not in MathML Core:
either way the page would be wrong and the build green.
"""

from __future__ import annotations

import re

__all__ = ["MathError", "to_mathml"]

# what latex2mathml does not take apart, under a name that it does
REWRITTEN = {
    r"\\arg\s*\\(max|min)(?![A-Za-z])": r"\\arg\1 ",
    r"\\(begin|end)\{(?:aligned|align)\}": r"\\\1{align*}",  # Sphinx counts equations, not LaTeX
}
NEGATIVE_THIN_SPACE = ('width="negativethinmathspace"', 'width="-0.167em"')  # the name is not in MathML Core
REFUSED = {
    r">(\\[A-Za-z]+)<": "unknown command {}",
    r"<mi>(&)</mi>": "{} outside of an environment that aligns",
    r'mathvariant="((?!normal)[a-z-]+)"': "a {} letter, which browsers do not draw",
}


class MathError(ValueError):
    """Mathematics that would not be drawn as it is written."""


def to_mathml(latex: str, display: str) -> str:
    r"""Return LaTeX as a ``<math>`` element.

    Parameters
    ----------
    latex : str
    display : {"inline", "block"}

    Raises
    ------
    MathError
        If a part of it would be printed as text or not be drawn.

    Examples
    --------
    >>> to_mathml("a", "inline")
    '<math xmlns="http://www.w3.org/1998/Math/MathML" display="inline"><mrow><mi>a</mi></mrow></math>'
    >>> to_mathml(r"\softmax x", "inline")
    Traceback (most recent call last):
    ...
    cemag.reproduction.publishing.mathml.MathError: unknown command \softmax
    """
    from latex2mathml.converter import convert

    text = latex.strip()
    for pattern, replacement in REWRITTEN.items():
        text = re.sub(pattern, replacement, text)
    try:
        drawn = convert(text, display=display).replace(*NEGATIVE_THIN_SPACE)
    except Exception as error:  # latex2mathml has a class for each mistake, and none for all
        raise MathError(f"{type(error).__name__} in {latex.strip()!r}") from None
    for pattern, message in REFUSED.items():
        if found := re.search(pattern, drawn):
            raise MathError(message.format(found[1]))
    return drawn
