# SPDX-License-Identifier: GPL-2.0
"""A plot of lines on two logarithmic axes, as SVG."""

import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 70, 180, 40, 60

# Okabe and Ito's colours, which the colour-blind can tell apart.
COLOURS = ("#000000", "#d55e00", "#e69f00", "#0072b2", "#56b4e9", "#009e73", "#cc79a7",
           "#f0e442")


def decades(values):
    """The powers of ten around the values."""
    first = math.floor(math.log10(min(values)))
    last = math.ceil(math.log10(max(values)))
    return range(first, max(last, first + 1) + 1)


def text(x, y, words, anchor="start", turn=""):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{turn}>'
            f"{escape(words)}</text>")


def line(x1, y1, x2, y2, colour="#cccccc"):
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
            f'stroke="{colour}"/>')


def plot(title, x_label, y_label, lines):
    """@lines: name to a list of points (x, y), all greater than zero."""
    body = [text(LEFT, TOP - 16, title)]
    points = [point for each in lines.values() for point in each]
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    if not points:
        body.append(text((LEFT + right) / 2, HEIGHT / 2, "not measured", "middle"))
    else:
        body += draw(points, lines, x_label, y_label, right, bottom)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" '
            f'height="{HEIGHT}" font-family="sans-serif" font-size="13">\n'
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>\n'
            + "\n".join(body) + "\n</svg>\n")


def draw(points, lines, x_label, y_label, right, bottom):
    x_ticks = sorted({x for x, _ in points})
    x_first, x_last = math.log10(x_ticks[0]), math.log10(x_ticks[-1])
    y_ticks = decades([y for _, y in points])

    def at_x(x):
        return LEFT + (right - LEFT) * (math.log10(x) - x_first) / (x_last - x_first or 1)

    def at_y(y):
        share = (math.log10(y) - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return bottom - (bottom - TOP) * share

    for x in x_ticks:
        yield line(at_x(x), TOP, at_x(x), bottom)
        yield text(at_x(x), bottom + 20, f"{x:g}", "middle")
    for power in y_ticks:
        yield line(LEFT, at_y(10**power), right, at_y(10**power))
        yield text(LEFT - 8, at_y(10**power) + 4, f"{10.0**power:g}", "end")
    yield text((LEFT + right) / 2, HEIGHT - 16, x_label, "middle")
    middle = (TOP + bottom) / 2
    yield text(20, middle, y_label, "middle", f' transform="rotate(-90 20 {middle:.1f})"')
    for i, (name, each) in enumerate(lines.items()):
        colour = COLOURS[i % len(COLOURS)]
        path = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y in each)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        for x, y in each:
            yield f'<circle cx="{at_x(x):.1f}" cy="{at_y(y):.1f}" r="3.5" fill="{colour}"/>'
        y = TOP + 12 + 22 * i
        yield line(right + 16, y - 4, right + 40, y - 4, colour)
        yield text(right + 46, y, name)
