"""What tests in a browser share."""

import shutil

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
DRAWN = """charts => charts.map(chart => {
  const svg = chart.querySelector("svg.marks");
  if (!svg) return {marks: 0, width: 0, height: 0, text: chart.textContent.slice(0, 80)};
  const box = svg.getBoundingClientRect();
  const marks = svg.querySelectorAll(".mark-symbol path, .mark-rect path, .mark-rule line, .mark-line path");
  const area = m => { const b = m.getBoundingClientRect(); return b.width + b.height; };
  const shown = [...marks].filter(m => area(m) > 0);
  return {marks: shown.length, width: box.width, height: box.height, text: ""};
})"""


def contrast(one, other):
    """Contrast ratio of two sRGB colours, as WCAG defines it."""

    def luminance(colour):
        linear = [
            v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in (c / 255 for c in colour)
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)
