"""Mathematics is drawn as written, or refused with what is wrong."""

import xml.etree.ElementTree as ET

import pytest

from cemag.reproduction.publishing.mathml import MathError, to_mathml


@pytest.mark.parametrize(
    "latex",
    [
        r"\frac{a}{b}",
        r"\sum_{j=1}^{d} \mathrm{CE}_{ncj} + b_c",
        r"\begin{cases} a & x > 0 \\ b & \text{else} \end{cases}",
        r"\begin{aligned} a &= b \\ &= c \end{aligned}",
        r"\begin{align} a &= b \\ c &= d \end{align}",
        r"\gamma \lVert s_i - x_n \rVert^2 < 1",
        r"\exp\!\left(-\tfrac{1}{2} z_{0.95}^2\right)",
        r"\arg\max_c z_c",
    ],
)
def test_what_the_book_writes_is_well_formed_and_holds_no_latex(latex):
    drawn = to_mathml(latex, "block")
    assert "\\" not in "".join(ET.fromstring(drawn).itertext())
    assert "negativethinmathspace" not in drawn


def test_aligned_lines_become_rows_without_numbers_of_their_own():
    for name in ("aligned", "align"):
        drawn = to_mathml(rf"\begin{{{name}}} a &= b \\ c &= d \end{{{name}}}", "block")
        assert drawn.count("<mtr>") == 2
        assert "(1)" not in drawn


@pytest.mark.parametrize(
    ("latex", "message"),
    [
        (r"\softmax x", r"unknown command \\softmax"),
        ("a &= b", "& outside of an environment"),
        (r"\boldsymbol{\alpha}", "a bold-italic letter"),
        ("a_{", "in 'a_{'"),
    ],
)
def test_what_would_be_drawn_wrongly_is_refused(latex, message):
    with pytest.raises(MathError, match=message):
        to_mathml(latex, "inline")
