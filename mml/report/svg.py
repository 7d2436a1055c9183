"""Charts as inline SVG: they take the page's font and its colours for light and dark, and shrink to a phone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mml.report.charts import Bar, BarChart, Chart, Line, LineChart, interval, nice_ticks, number
from mml.report.html import Markup, joined, left_out, table, tag
from mml.report.marks import Corners
from mml.report.names import Colours

WIDTH = 360
"""Units; one unit is a pixel on the narrowest phone."""
_ROW = 34
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 14, 26, 40
_ASIDE = 12  # between the axis and the first points
_HEIGHT = 246
_DASHES = "6 3"
_MARK = 3.6  # from the middle to a corner, about
_BESIDE = 3.0  # between the points of two lines, so that their intervals do not hide each other
_MOST_ROWS = 40


def figure(chart: Chart, colours: Colours) -> Markup:
    """The chart with its title, and its numbers as a table for those who cannot see it."""
    if not (chart.bars if isinstance(chart, BarChart) else chart.lines):
        return left_out(f"{chart.title}: there is nothing to draw.")
    drawn, legend = (_bars(chart, colours), Markup("")) if isinstance(chart, BarChart) else _lines(chart, colours)
    numbers = tag("details", tag("summary", "The numbers"), _numbers(chart))
    return tag("figure", tag("figcaption", chart.title), legend, drawn, numbers)


def _svg(height: float, label: str, *inner: object) -> Markup:
    box = f"0 0 {WIDTH} {height:.0f}"
    return tag("svg", *inner, viewBox=box, role="img", aria_label=label, xmlns="http://www.w3.org/2000/svg")


def _text(x: float, y: float, words: object, **more: object) -> Markup:
    return tag("text", words, x=f"{x:.1f}", y=f"{y:.1f}", **more)


def _rule(x1: float, y1: float, x2: float, y2: float, class_: str = "grid", **more: object) -> Markup:
    places = {key: f"{value:.1f}" for key, value in (("x1", x1), ("y1", y1), ("x2", x2), ("y2", y2))}
    return tag("line", class_=class_, **places, **more)


# -- bars -----------------------------------------------------------------------------------------------------------


def _bars(chart: BarChart, colours: Colours) -> Markup:
    ends = [end for bar in chart.bars for end in (bar.of.value, bar.of.high) if end == end]
    most = max([*ends, 1e-9])
    ticks = nice_ticks(0.0, most)
    scale = (WIDTH - 2 * _RIGHT - 48) / ticks[-1]
    bottom = len(chart.bars) * _ROW + 4
    parts: list[Markup] = []
    for tick in ticks:
        x = _RIGHT + tick * scale
        parts += [_rule(x, 0, x, bottom), _text(x, bottom + 13, _tick(tick, chart.percent), text_anchor="middle")]
    for place, bar in enumerate(chart.bars):
        parts += list(_bar(bar, place * _ROW, scale, chart.percent, colours))
    parts.append(_text(WIDTH / 2, bottom + 30, chart.unit, text_anchor="middle", class_="axis"))
    said = "; ".join(f"{bar.label} {number(bar.of.value, chart.percent)}" for bar in chart.bars)
    return _svg(bottom + 36, f"{chart.title}. {chart.unit}: {said}.", *parts)


def _bar(bar: Bar, y: float, scale: float, percent: bool, colours: Colours) -> Iterator[Markup]:
    colour, of = colours.css(bar.method), bar.of
    value = max(of.value, 0.0) if of.value == of.value else 0.0
    fill = f"fill:none;stroke:{colour};stroke-width:1.5" if bar.hollow else f"fill:{colour}"
    yield _text(_RIGHT, y + 12, bar.label, class_="label")
    yield tag("rect", x=_RIGHT, y=f"{y + 16:.1f}", width=f"{max(value * scale, 1):.1f}", height=12, style=fill)
    end = value
    if of.low == of.low:
        low, high, middle = _RIGHT + max(of.low, 0) * scale, _RIGHT + of.high * scale, y + 22
        yield _rule(low, middle, high, middle, "error")
        for x in (low, high):
            yield _rule(x, middle - 3, x, middle + 3, "error")
        end = max(value, of.high)
    yield _text(_RIGHT + end * scale + 5, y + 26, number(of.value, percent), class_="value")


# -- lines ----------------------------------------------------------------------------------------------------------


class _Frame:
    """Places in the drawing of x and y."""

    def __init__(self, chart: LineChart) -> None:
        xs = [x for line in chart.lines for x in line.x] + ([] if chart.mark is None else [chart.mark[0]])
        ends = [y for line in chart.lines for y in (*line.y, *line.low, *line.high) if y == y]
        self.ticks = nice_ticks(0.0 if chart.from_zero else min(ends, default=0.0), max(ends, default=1.0))
        self._first, span = min(xs), max(xs) - min(xs)
        self._span = span or 1.0
        self._width = WIDTH - _LEFT - _RIGHT - 2 * _ASIDE
        self._inset = _ASIDE + (0.0 if span else self._width / 2)

    def x(self, value: float) -> float:
        """From the left."""
        return _LEFT + self._inset + (value - self._first) / self._span * self._width

    def y(self, value: float) -> float:
        """From the top."""
        low, high = self.ticks[0], self.ticks[-1]
        return _TOP + (high - value) / ((high - low) or 1.0) * (_HEIGHT - _TOP - _BOTTOM)


def _lines(chart: LineChart, colours: Colours) -> tuple[Markup, Markup]:
    frame = _Frame(chart)
    parts = list(_axes(chart, frame))
    keys: list[Markup] = []
    for place, line in enumerate(chart.lines):
        aside = _BESIDE * (place - (len(chart.lines) - 1) / 2) if line.low else 0.0
        parts += list(_line(line, frame, colours, aside))
        keys.insert(0, tag("li", _key(line, colours), line.label))
    legend = tag("ul", *keys, class_="legend") if len(keys) > 1 else Markup("")
    said = "; ".join(
        f"{line.label} from {_said(line.y[0], chart)} to {_said(line.y[-1], chart)}" for line in chart.lines
    )
    return _svg(_HEIGHT, f"{chart.title}. {chart.y_label} by {chart.x_label}: {said}.", *parts), legend


def _key(line: Line, colours: Colours) -> Markup:
    """A line of the legend: a piece of the line, and its mark."""
    style, mark = _styles(line, colours)
    parts = [_rule(0, 5, 24, 5, "line", style=style)]
    parts += [_mark(12, 5, colours.mark(line.method), mark)] if line.marks else []
    return tag("svg", *parts, viewBox="0 0 24 10", aria_hidden="true")


def _styles(line: Line, colours: Colours) -> tuple[str, str]:
    """Of the line and of its marks."""
    colour = colours.css(line.method)
    if colours.is_online(line.method):
        return f"stroke:{colour};stroke-dasharray:{_DASHES}", f"fill:var(--ground);stroke:{colour};stroke-width:1.4"
    return f"stroke:{colour}", f"fill:{colour};stroke:none"


def _said(value: float, chart: LineChart) -> str:
    return number(value, chart.percent)


def _axes(chart: LineChart, frame: _Frame) -> Iterator[Markup]:
    for tick in frame.ticks:
        y = frame.y(tick)
        yield _rule(_LEFT, y, WIDTH - _RIGHT, y)
        yield _text(_LEFT - 5, y + 4, _tick(tick, chart.percent), text_anchor="end")
    bottom = _HEIGHT - _BOTTOM
    yield _text(0, 10, chart.y_label, class_="axis")
    for x, words in chart.ticks:
        yield _text(frame.x(x), bottom + 15, words, text_anchor="middle")
    yield _text((_LEFT + WIDTH - _RIGHT) / 2, _HEIGHT - 6, chart.x_label, text_anchor="middle", class_="axis")
    if chart.mark is not None:
        x = frame.x(chart.mark[0])
        at_left = x > WIDTH / 2
        yield _rule(x, _TOP, x, bottom, "mark")
        yield _text(x - 4 if at_left else x + 4, _TOP + 10, chart.mark[1], text_anchor="end" if at_left else "start")


def _line(line: Line, frame: _Frame, colours: Colours, aside: float) -> Iterator[Markup]:
    colour, (style, mark) = colours.css(line.method), _styles(line, colours)
    points = [(frame.x(x) + aside, frame.y(y)) for x, y in zip(line.x, line.y, strict=True) if y == y]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    yield tag("polyline", points=path, class_="line", style=style)
    for x, low, high in zip(line.x, line.low, line.high, strict=False):
        if low == low:
            yield _rule(
                frame.x(x) + aside, frame.y(low), frame.x(x) + aside, frame.y(high), "", style=f"stroke:{colour}"
            )
    for x, y in points if line.marks else []:
        yield _mark(x, y, colours.mark(line.method), mark)


def _mark(x: float, y: float, corners: Corners, style: str) -> Markup:
    points = " ".join(f"{x + _MARK * dx:.1f},{y + _MARK * dy:.1f}" for dx, dy in corners)
    return tag("polygon", points=points, style=style)


def _tick(value: float, percent: bool) -> str:
    if percent:
        return f"{100 * value:.3g} %"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


# -- numbers --------------------------------------------------------------------------------------------------------


def _numbers(chart: Chart) -> Markup:
    if isinstance(chart, BarChart):
        rows: list[Sequence[object]] = [
            [bar.label, number(bar.of.value, chart.percent), interval(bar.of, chart.percent)] for bar in chart.bars
        ]
        return table(chart.title, ["", chart.unit, "95 % interval"], rows)
    names = dict(chart.ticks)
    xs = sorted({x for line in chart.lines for x in line.x})
    found = [dict(zip(line.x, line.y, strict=True)) for line in chart.lines]
    many = len(xs) > _MOST_ROWS
    rows = [
        [names.get(x) or chart.write_x(x), *(number(own[x], chart.percent) if x in own else "-" for own in found)]
        for x in (xs[:: -(-len(xs) // _MOST_ROWS)] if many else xs)
    ]
    return joined(table(chart.title, [chart.x_label, *(line.label for line in chart.lines)], rows))
