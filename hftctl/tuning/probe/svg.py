"""A measurement as a picture: how many steps a second take longer than so long, both axes logarithmic.

A quiet CPU falls straight down at the loop's own cost; every cause of interruptions is a shelf to the right of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from hftctl.tuning.probe.picture import nanoseconds
from hftctl.tuning.probe.report import CpuReport

WIDTH, HEIGHT = 860, 480
LEFT, RIGHT, TOP, BOTTOM = 80, 36, 72, 56
LEGEND_LINE = 18
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#636363")
STYLE = """
svg { background: #fff } text { font: 12px system-ui, sans-serif; fill: #222 } .title { font-size: 15px; font-weight: 600 }
.grid { stroke: #e4e4e4 } .axis { stroke: #777 } .quiet { fill: #666 } .line { fill: none; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
  svg { background: #16181c } text { fill: #e6e6e6 } .grid { stroke: #2c3036 } .axis { stroke: #8a8f98 } .quiet { fill: #a0a5ad }
}
"""


def draw(title: str, subtitle: str, series: Sequence[tuple[str, CpuReport]]) -> str:
    """`series`: name and CPU, in the order of the legend; names that begin with `before` are dashed."""
    curves = [(name, cpu, list(curve(cpu))) for name, cpu in series]
    points = [point for _, _, curve_ in curves for point in curve_]
    x_low, x_high = _decades([x for x, _ in points], 10.0, 1000.0)
    y_low, y_high = _decades([y for _, y in points], 0.1, 100.0)
    height = HEIGHT + LEGEND_LINE * len(curves)
    plot_right, plot_bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def x_of(value: float) -> float:
        return LEFT + (plot_right - LEFT) * (math.log10(value) - x_low) / (x_high - x_low)

    def y_of(value: float) -> float:
        return plot_bottom - (plot_bottom - TOP) * (math.log10(value) - y_low) / (y_high - y_low)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">',
        f"<title>{escape(title)}</title><style>{STYLE}</style>",
        f'<text class="title" x="{LEFT}" y="24">{escape(title)}</text>',
        f'<text class="quiet" x="{LEFT}" y="44">{escape(subtitle)}</text>',
    ]
    for decade in range(x_low, x_high + 1):
        x = x_of(10.0**decade)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{plot_bottom}"/>')
        parts.append(f'<text x="{x:.1f}" y="{plot_bottom + 18}" text-anchor="middle">{_round(10.0**decade)}</text>')
    for decade in range(y_low, y_high + 1):
        y = y_of(10.0**decade)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{plot_right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_rate(decade)}</text>')
    parts.append(f'<path class="axis" fill="none" d="M{LEFT} {TOP}V{plot_bottom}H{plot_right}"/>')
    parts.append(
        f'<text class="quiet" x="{plot_right}" y="{plot_bottom + 38}" text-anchor="end">a step takes longer than</text>'
    )
    parts.append(f'<text class="quiet" x="{LEFT - 8}" y="{TOP - 12}" text-anchor="end">per second</text>')
    for index, (name, cpu, curve_) in enumerate(curves):
        colour = COLOURS[index % len(COLOURS)]
        dash = ' stroke-dasharray="5 4"' if name.startswith("before") else ""
        path = _path([(x_of(x), y_of(y)) for x, y in curve_], plot_bottom)
        parts.append(f'<path class="line" stroke="{colour}"{dash} d="{path}"/>')
        y = HEIGHT + LEGEND_LINE * index
        parts.append(f'<path class="line" stroke="{colour}"{dash} d="M{LEFT} {y - 4}h28"/>')
        parts.append(f'<text x="{LEFT + 38}" y="{y}">{escape(f"{name}: {_said(cpu)}")}</text>')
    return "\n".join([*parts, "</svg>", ""])


def curve(cpu: CpuReport) -> Iterator[tuple[float, float]]:
    """(ns, steps a second that take at least that long), ascending."""
    left = cpu.steps.total
    for lowest, _, count in cpu.steps.filled():
        yield max(lowest, 1), left / cpu.elapsed_s
        left -= count


def _path(points: Sequence[tuple[float, float]], bottom: float) -> str:
    """Stairs: behind each duration that was seen, the rate falls to that of the longer ones, and holds up to the next."""
    if not points:
        return ""
    parts = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    parts += [f"V{y:.1f}H{x:.1f}" for x, y in points[1:]]
    return "".join([*parts, f"V{bottom:.1f}"])


def _decades(values: Sequence[float], low: float, high: float) -> tuple[int, int]:
    """Whole powers of ten around the values, at least from `low` to `high`."""
    return math.floor(math.log10(min([low, *values]))), math.ceil(math.log10(max([high, *values])))


def _round(value_ns: float) -> str:
    return nanoseconds(value_ns).replace(".00", "").replace(".0", "")


def _rate(decade: int) -> str:
    if decade >= 6:
        return f"{10 ** (decade - 6):,} M"
    return f"{10**decade:,}" if decade >= 0 else f"{10.0**decade:g}"


def _said(cpu: CpuReport) -> str:
    return (
        f"longest {nanoseconds(cpu.longest_ns)}, {cpu.gaps_per_s:,.1f} gaps a second, {cpu.lost_ppm:,.0f} ppm lost, "
        f"{cpu.counted.interrupts_per_s:,.1f} interrupts a second"
    )
