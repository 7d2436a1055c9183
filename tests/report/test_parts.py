"""The parts of the report against plain references and their properties."""

from __future__ import annotations

import html
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mml.comparison.latex import escaped
from mml.model.fusion import FUSIONS
from mml.model.learner import LEARNERS
from mml.report.charts import Bar, BarChart, Line, LineChart, interval, nice_ticks, number
from mml.report.estimates import Estimate, estimate, share
from mml.report.html import Markup, isolated, table, tag, text
from mml.report.latex import label_of, latex_table
from mml.report.log import RunLog, day, is_dates
from mml.report.marks import MARKS
from mml.report.names import GREY, PALETTE, Colours, deeper, knows_later_events, label, meaning
from mml.report.pictures import Pictures
from mml.report.plots import save_plots
from mml.report.sections.accuracy import shot_groups
from mml.report.sections.data import over_time
from mml.report.style import style_sheet
from mml.report.svg import figure


def test_intervals_are_those_of_a_bootstrap_of_users() -> None:
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(300), rng.integers(1, 6, 300))
    values = (rng.random(len(users)) < 0.2 + 0.4 * (users % 2)).astype(float)
    rows = [np.flatnonzero(users == user) for user in range(300)]
    means = [values[np.concatenate([rows[one] for one in rng.integers(0, 300, 300)])].mean() for _ in range(2000)]
    found = estimate(values, users)
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.008)
    assert found.n_users == 300


def test_intervals_at_the_edges() -> None:
    assert share(np.zeros(40), np.arange(40)) == Estimate(0.0, 0.0, 3 / 40, 40)
    assert share(np.array([1.0, 1.0, 0.0]), np.arange(3)).high == 1.0
    assert np.isnan(estimate(np.ones(3), np.zeros(3, dtype=int)).low)
    same = estimate(np.zeros(6), np.arange(6), signed=True)  # differences where there is none
    assert (same.low, same.value, same.high) == (-0.5, 0.0, 0.5)
    assert estimate(np.zeros(0), np.zeros(0, dtype=int)).n_users == 0


@given(st.text())
def test_text_stays_text(given_text: str) -> None:
    written = text(given_text)
    assert "<" not in written
    assert '"' not in written
    written.encode()
    if given_text.isprintable():
        assert html.unescape(written) == given_text
    assert text(written) == written


def test_markup_is_escaped_once() -> None:
    assert tag("p", Markup("<b>1</b>"), "<i>", class_='a"b') == '<p class="a&quot;b"><b>1</b>&lt;i&gt;</p>'
    assert isolated("<x>") == "<bdi>&lt;x&gt;</bdi>"
    assert '<span class="best">best N@10</span>' in table("c", ["", "a"], [["x", 1]], {0: "best N@10"})


@given(st.floats(-1e6, 1e6), st.floats(1e-4, 1e6))
def test_ticks_are_few_and_enclose(low: float, span: float) -> None:
    ticks = nice_ticks(low, low + span)
    assert 2 <= len(ticks) <= 7
    assert ticks[0] <= low + 1e-6 * span
    assert ticks[-1] >= low + span - 1e-6 * span
    assert np.allclose(np.diff(ticks), ticks[1] - ticks[0])


def test_numbers_of_charts() -> None:
    assert number(0.12345, True) == "12.3 %"
    assert number(0.12345, False) == "0.1235"
    assert number(float("nan"), True) == "-"
    assert interval(Estimate(0.1, 0.05, 0.15, 9), True) == "5.0 to 15.0 %"


def test_charts_survive_odd_values() -> None:
    colours = Colours.of(["mml"])
    nothing = Estimate(float("nan"), float("nan"), float("nan"), 0)
    bars = figure(BarChart("a", "A", "u", [Bar("x", "mml", nothing), Bar("y", "new", Estimate(0, 0, 0, 3))]), colours)
    lines = figure(LineChart("b", "B", "x", "y", [Line("l", "mml", [3.0], [float("nan")])], [(3.0, "3")]), colours)
    assert "nan" not in bars + lines
    assert "nothing to draw" in figure(BarChart("a", "A", "u", []), colours)


def test_colours_are_one_per_method() -> None:
    names = ["mml", "id", "id_no_adapt", "txt", "linear", "sound", "SASRec", "popularity"]
    colours = Colours.of(names)
    assert colours.css("id") == colours.css("id_no_adapt")
    own = [colours.plain(name) for name in names if name != "id_no_adapt"]
    assert len(set(own)) == len(own)
    assert colours.css("mml") == Colours.of(["SASRec", "mml"]).css("mml")
    many = Colours.of([f"m{place}" for place in range(20)])
    assert len(many.places) == len(PALETTE)


def test_online_is_drawn_otherwise_in_the_page_and_in_files() -> None:
    colours = Colours.of(["mml", "mml_online", "SLIST", "SLIST_online", *(f"m{place}" for place in range(20))])
    for name in ("mml", "SLIST", "m19"):
        online = f"{name}_online"
        assert colours.css(name) != colours.css(online)
        assert colours.plain(name) != colours.plain(online)
        assert colours.mark(name) == colours.mark(online)
        assert (colours.is_online(name), colours.is_online(online)) == (False, True)
        assert f"{colours.css(online)[4:-1]}:" in style_sheet()
    lines = [Line(label(name), name, [1.0, 2.0], [0.1, 0.2]) for name in ("mml", "mml_online")]
    drawn = figure(LineChart("a", "A", "x", "y", lines, []), colours)
    assert drawn.count('style="stroke:var(--m0)"') == 2  # the line and its key
    assert drawn.count('style="stroke:var(--m0-online);stroke-dasharray:6 3"') == 2
    assert drawn.count("fill:var(--m0);stroke:none") == 3  # two points and the key
    assert drawn.count("fill:var(--ground);stroke:var(--m0-online)") == 3


def test_files_have_the_page_s_lines(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    lines = [Line(label(name), name, [1.0, 2.0], [0.1, 0.2]) for name in ("mml", "mml_online")]
    colours = Colours.of(["mml"])
    save_plots([LineChart("a", "A", "x", "y", lines, [])], colours, tmp_path)
    drawn = (tmp_path / "a.svg").read_text()
    assert "mml, online" in drawn
    for name in ("mml", "mml_online"):
        assert f"stroke: {colours.plain(name)}" in drawn
    assert "stroke-dasharray" in drawn


def test_marks_are_one_per_colour() -> None:
    assert len(set(MARKS)) == len(MARKS) == len(PALETTE)
    assert all(abs(x) <= 1.11 and abs(y) <= 1.11 for mark in MARKS for x, y in mark)


def test_names_of_methods_in_charts() -> None:
    assert label("mml_online") == "mml, online"
    assert label("id") == "id"
    known = ("mml_online", "SLIST_online", "SASRec_full_retrain", "SASRec_trans", "GRU4Rec_down")
    assert all(knows_later_events(name) for name in known)
    assert not any(knows_later_events(name) for name in ("mml", "popularity", "id_no_adapt", "SASRec-BPR"))


def contrast(first: str, second: str) -> float:
    """WCAG's contrast ratio of two colours."""
    levels = []
    for colour in (first, second):
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        levels.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(levels) + 0.05) / (min(levels) + 0.05)


def test_colours_stand_out_on_light_and_dark() -> None:
    for light, dark in (*PALETTE, *map(deeper, (*PALETTE, GREY))):
        assert contrast(light, "#ffffff") >= 4.5
        assert contrast(dark, "#161618") >= 4.5


@pytest.mark.parametrize("name", ["mml", "popularity", "txt_no_adapt", "id_no_generator", "fusion_new", "sound"])
def test_every_name_has_a_meaning(name: str) -> None:
    assert len(meaning(name)) > 8


def test_entries_say_what_they_are() -> None:
    assert {entry.name: meaning(entry.name) for entry in LEARNERS} == {one.name: one.meaning for one in LEARNERS}
    assert [meaning(f"fusion_{entry.name}") for entry in FUSIONS] == [entry.meaning for entry in FUSIONS]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("SLIST", "the baseline SLIST: item similarities and transitions"),
        ("SLIST_online", "SLIST, fitted anew at moments"),
        ("SASRec", "the baseline SASRec: causal attention"),
        ("SASRec-BPR", "the baseline SASRec: causal attention (Kang and McAuley 2018), by the loss BPR"),
        ("SASRec-BPR_full_retrain", "SASRec-BPR, trained anew at moments on the old users and"),
        ("SumAll_trans", "SumAll, fine-tuned at moments"),
        ("GRU4Rec_down", "GRU4Rec, trained at moments on what new users had done before alone"),
        ("newcomers_online", "newcomers, where every event before the next item is known"),
    ],
)
def test_baselines_have_a_meaning(name: str, words: str) -> None:
    assert meaning(name).startswith(words)


def test_latex_is_escaped_and_marks_the_best() -> None:
    assert escaped("a_b & 50% {x} \\ $1 #2 ~^") == (
        r"a\_b \& 50\% \{x\} \textbackslash{} \$1 \#2 \textasciitilde{}\textasciicircum{}"
    )
    nan = float("nan")
    blocks = [[("my_a", [0.2, nan]), ("b", [0.1, nan])], [("b_online", [0.3, 0.4])]]
    made = latex_table(["Method", "N@10", "new"], blocks, "100% of it", "a b_ä")
    assert r"my\_a & \textbf{0.2000} & -- \\" in made
    assert r"b & 0.1000 & -- \\" in made
    assert made.splitlines()[-5:-3] == [r"    \midrule", r"    b\_online & 0.3000 & 0.4000 \\"]
    assert r"\caption{100\% of it}" in made
    assert r"\label{tab:a-b--}" in made
    assert label_of("ml-100k") == "ml-100k"


def test_shots_are_grouped_where_there_are_many() -> None:
    few = shot_groups(np.array([1, 3, 3, 9]))
    assert [name for name, _ in few] == ["1", "3", "9"]
    shots = np.random.default_rng(0).integers(1, 60, 500)
    many = shot_groups(shots)
    assert len(many) <= 6
    assert np.sum([among for _, among in many], axis=0).tolist() == [1] * 500


def test_dates() -> None:
    assert day(874724710.0) == "1997-09-20"
    assert is_dates(np.array([874724710.0, 893286638.0]))
    assert not is_dates(np.array([1.0, 5.0]))
    assert not is_dates(np.array([874724710000.0]))


@pytest.mark.parametrize(
    ("days", "first", "last"), [(200, "1997-09-22", "1998-04-05"), (2, "1997-09-20 03:41", "1997-09-22 02:29")]
)
def test_the_log_over_time_is_told_in_dates(days: int, first: str, last: str) -> None:
    times = 874724710.0 + np.linspace(0, 86400.0 * days, 500)
    (chart,) = over_time(RunLog(pd.DataFrame({"time": times}), True), None)
    drawn = figure(chart, Colours.of([]))
    rows = re.findall(r'<th scope="row">(.*?)</th>', drawn)
    assert (rows[0], rows[-1]) == (first, last)
    assert len(set(rows)) == len(rows) == 40
    assert "e+" not in drawn


def test_pictures_are_small_and_inlined(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "sub").mkdir()
    image.effect_noise((900, 600), 90).save(tmp_path / "sub" / "1.png")
    image.new("RGBA", (50, 50), (255, 0, 0, 128)).save(tmp_path / "2.png")
    (tmp_path / "3.jpg").write_bytes(b"no picture")
    pictures = Pictures(tmp_path, {"1", "2", "3", "4"})
    assert len(pictures) == 3
    for item in ("1", "2"):
        shown = pictures.of(item)
        assert shown.startswith('<img src="data:image/jpeg;base64,')
        assert len(shown) < 20_000
        assert 'alt=""' in shown
    assert pictures.of("3") == pictures.of("4") == ""
    assert len(Pictures(None, {"1"})) == 0
