"""The whole page: all sections in one file without a script, a font or a picture from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mml.report.evidence import Evidence
from mml.report.html import Markup, empty, isolated, joined, paragraph, tag
from mml.report.names import Colours
from mml.report.section import Section
from mml.report.sections.accuracy import accuracy
from mml.report.sections.adaptation import adaptation
from mml.report.sections.data import data
from mml.report.sections.examples import examples
from mml.report.sections.headline import headline
from mml.report.sections.new_items import new_items
from mml.report.sections.reference import everything, glossary, settings
from mml.report.sections.training import training
from mml.report.sections.weights import fusion_weights
from mml.report.style import style_sheet
from mml.report.svg import figure

SECTIONS: Sequence[Callable[[Evidence], Section]] = (
    headline,
    accuracy,
    adaptation,
    fusion_weights,
    new_items,
    examples,
    data,
    training,
    everything,
    glossary,
    settings,
)
_NO_NETWORK = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def sections_of(evidence: Evidence) -> list[Section]:
    """All sections, in order."""
    return [build(evidence) for build in SECTIONS]


def page(evidence: Evidence, sections: Sequence[Section]) -> str:
    """The file's text."""
    title = f"mml on {evidence.dataset}"
    colours = Colours.of([*evidence.methods, *evidence.baselines])
    head = tag(
        "head",
        empty("meta", charset="utf-8"),
        empty("meta", http_equiv="Content-Security-Policy", content=_NO_NETWORK),
        empty("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", Markup(style_sheet())),
    )
    links = [tag("li", tag("a", one.title, href=f"#{one.anchor}")) for one in sections]
    body = tag(
        "body",
        tag("a", "To the results", href="#results", class_="skip"),
        tag("header", tag("h1", "mml on ", isolated(evidence.dataset)), paragraph(_about(evidence), class_="about")),
        tag(
            "main",
            tag("nav", tag("ul", *links), aria_label="Contents"),
            *(_section(one, colours) for one in sections),
            id="results",
        ),
        tag("footer", "Made by mml. This file is complete in itself: it opens from the disk and loads nothing."),
    )
    return "<!doctype html>\n" + tag("html", head, body, lang="en") + "\n"


def _about(evidence: Evidence) -> str:
    counts, note = evidence.result["data"], " (synthetic data)" if evidence.result.get("synthetic") else ""
    return (
        f"{counts['evaluated_users']:,} new users, {counts['evaluated_cases']:,} cases, {counts['items']:,} items, "
        f"seed {evidence.result['seed']}{note}"
    )


def _section(one: Section, colours: Colours) -> Markup:
    heading = tag("h2", one.title, id=one.anchor)
    charts = tag("div", *(figure(chart, colours) for chart in one.charts), class_="charts") if one.charts else ""
    return tag("section", heading, joined(one.body, charts, one.after or ""), aria_labelledby=one.anchor)
