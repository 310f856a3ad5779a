"""Line charts side by side as one SVG: enough for a page of documentation, and nothing to install."""

import dataclasses
import html
import math

WIDTH, HEIGHT = 340, 260  # of a panel
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 34, 44
COLOURS = ("#1b6ca8", "#d1495b", "#66a182")


@dataclasses.dataclass
class Panel:
    title: str
    x_label: str
    lines: list  # (name, [(x, y), ...])
    log_x: bool = False


def round_step(most):
    """1, 2 or 5 times a power of ten, so that about four steps reach `most`."""
    raw = most / 4
    power = 10 ** math.floor(math.log10(raw))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)


def number(value):
    if value >= 1_000_000:
        return f"{value / 1e6:g} M"
    return f"{value / 1e3:g} k" if value >= 1_000 else f"{value:g}"


def _text(x, y, text, anchor="middle", extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{extra}>{html.escape(text)}</text>'


class _Axes:
    def __init__(self, panel):
        points = [point for _, line in panel.lines for point in line]
        self.place = math.log10 if panel.log_x else float
        self.low, self.high = self.place(min(x for x, _ in points)), self.place(max(x for x, _ in points))
        self.step = round_step(max(y for _, y in points))
        self.top = self.step * math.ceil(max(y for _, y in points) / self.step)

    def x(self, value):
        return LEFT + (self.place(value) - self.low) / ((self.high - self.low) or 1) * (WIDTH - LEFT - RIGHT)

    def y(self, value):
        return HEIGHT - BOTTOM - value / self.top * (HEIGHT - TOP - BOTTOM)


def _x_ticks(panel, axes):
    if panel.log_x:
        return sorted({x for _, line in panel.lines for x, _ in line})
    step = round_step(axes.high)
    return [step * i for i in range(math.ceil(axes.low / step), math.floor(axes.high / step) + 1)]


def _panel(panel, left):
    axes = _Axes(panel)
    out = [f'<g transform="translate({left},0)">', _text(LEFT, 18, panel.title, "start", ' font-weight="bold"')]
    for i in range(round(axes.top / axes.step) + 1):
        y = axes.y(i * axes.step)
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        out.append(_text(LEFT - 6, y + 4, number(i * axes.step), "end"))
    for x in _x_ticks(panel, axes):
        out.append(_text(axes.x(x), HEIGHT - BOTTOM + 16, number(x)))
    out.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, panel.x_label))
    for (_, line), colour in zip(panel.lines, COLOURS):
        points = " ".join(f"{axes.x(x):.1f},{axes.y(y):.1f}" for x, y in line)
        out.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if len(line) < 10:
            out += [f'<circle cx="{axes.x(x):.1f}" cy="{axes.y(y):.1f}" r="3" fill="{colour}"/>' for x, y in line]
    return out + ["</g>"]


def _legend(panels, y):
    names = max(([name for name, _ in panel.lines] for panel in panels), key=len)
    out, x = [], LEFT
    for name, colour in zip(names, COLOURS):
        out.append(f'<rect x="{x}" y="{y - 9}" width="14" height="4" fill="{colour}"/>')
        out.append(_text(x + 20, y, name, "start"))
        x += 50 + 7 * len(name)
    return out


def svg(panels):
    """Panels of the same lines in the same order share the legend of the one that has most."""
    width, height = WIDTH * len(panels), HEIGHT + 24
    body = [line for i, panel in enumerate(panels) for line in _panel(panel, WIDTH * i)] + _legend(panels, HEIGHT + 12)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="12" fill="#333">\n<rect width="100%" height="100%" fill="white"/>\n'
        + "\n".join(body)
        + "\n</svg>\n"
    )
