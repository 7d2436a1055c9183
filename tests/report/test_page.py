"""The report of a real run: all is there, it is safe, and it can be read by everybody."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

import mml
import run_meta
from mml.report.evidence import Evidence
from mml.report.page import SECTIONS
from mml.report.write import NAME, try_report, write_report

pytestmark = pytest.mark.slow  # they wait for a whole run

VOID = {"meta", "img"}
HEADINGS = [
    "What was learned",
    "Accuracy by number of interactions",
    "Before and after adaptation",
    "Fusion weights",
    "New items",
    "Example users",
    "The data",
    "Training",
    "The whole table",
    "What the names mean",
    "The run",
]


class Page(HTMLParser):
    """Elements of a page: tag, attributes, text directly inside; complains where tags are not balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._open: list[int] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))
        if tag not in VOID:
            self._open.append(len(self.elements) - 1)

    def handle_endtag(self, tag: str) -> None:
        assert self.elements[self._open.pop()][0] == tag

    def handle_data(self, data: str) -> None:
        for place in self._open:
            self.elements[place][2].append(data)

    def all(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        """Attributes and text of all elements of that name."""
        return [(attributes, "".join(words)) for name, attributes, words in self.elements if name == tag]


@pytest.fixture(scope="module")
def text(finished_run: Path) -> str:
    return (finished_run / NAME).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def section(text: str, heading: str) -> str:
    """The HTML from a heading to the next one."""
    return text.split(f">{heading}</h2>")[1].split("<h2")[0]


def test_a_run_writes_its_report_with_every_section(page: Page) -> None:
    assert [words for _, words in page.all("h2")] == HEADINGS
    assert len(SECTIONS) == len(HEADINGS)
    assert [words for _, words in page.all("h1")] == ["mml on tiny"]


def test_only_the_floor_may_be_left_out_of_a_whole_run(text: str) -> None:
    for heading in ("Accuracy by number of interactions", "Before and after adaptation", "Fusion weights",
                    "Example users", "The data", "Training"):  # fmt: skip
        own = section(text, heading)
        assert "Left out" not in own, heading
        assert "<svg" in own or heading == "Example users", heading


def test_what_it_says_is_what_the_run_left(text: str, finished_run: Path) -> None:
    metrics = json.loads((finished_run / "result.json").read_text())["metrics"]
    found = round(100 * metrics["mml"]["all"]["recall@10"])
    assert f"Of 100 new users, {found} find their next item in the top ten" in text
    whole = section(text, "The whole table")
    for method, groups in metrics.items():
        row = re.search(rf'<th scope="row">{method}\b.*?</tr>', whole)
        assert row is not None, method
        assert f"{groups['all']['ndcg@10']:.4f}" in row[0]
        assert f"{groups['all']['recall@10']:.4f}" in row[0]


def test_histories_are_those_of_the_run(finished_run: Path) -> None:
    evidence = Evidence(finished_run)
    assert set(evidence.histories) == set(evidence.cases.users)
    assert not evidence.missing.get("log")


def test_every_method_is_in_the_glossary(page: Page, finished_run: Path) -> None:
    methods = set(json.loads((finished_run / "result.json").read_text())["metrics"])
    terms = {words for _, words in page.all("dt")}
    assert methods | {"R@10", "N@10", "T", "shots", "case"} <= terms
    assert all(words for _, words in page.all("dd"))


def test_hostile_titles_are_text(text: str, page: Page) -> None:
    assert not page.all("script")
    assert not [attributes for attributes, _ in page.all("img") if "onerror" in attributes]
    assert "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;" in text
    assert '<script>alert("1")</script>' in "".join(words for _, words in page.all("bdi"))
    assert "\u202e" not in text


def test_nothing_is_loaded_from_elsewhere(text: str, page: Page) -> None:
    assert set(re.findall(r"https?://[^\"' ]+", text)) <= {"http://www.w3.org/2000/svg"}
    assert not page.all("link")
    assert "default-src 'none'" in next(a["content"] or "" for a, _ in page.all("meta") if "http-equiv" in a)
    assert "url(" not in text
    assert "@import" not in text


def test_those_who_cannot_see_can_read_it(page: Page) -> None:
    html = page.all("html")[0][0]
    assert html["lang"] == "en"
    assert all(attributes.get("aria-label") or attributes.get("aria-hidden") for attributes, _ in page.all("svg"))
    assert all("alt" in attributes for attributes, _ in page.all("img"))
    assert all(attributes.get("scope") in ("row", "col") for attributes, _ in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    ids = [attributes["id"] for _, attributes, _ in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = [(attributes["href"] or "").removeprefix("#") for attributes, _ in page.all("a")]
    assert set(targets) <= set(ids)
    assert len(page.all("label")) == len(page.all("textarea")) == 1


def test_what_is_missing_is_left_out_with_a_word(run_copy: Path, tmp_path: Path) -> None:
    shutil.rmtree(run_copy / "model")
    for name in ("recommendations.csv", "learning_curves.csv"):
        (run_copy / name).unlink()
    config = run_copy / "config.yaml"
    config.write_text(re.sub("data_path: .*", f"data_path: {tmp_path / 'gone'}", config.read_text()))
    text = write_report(run_copy).read_text(encoding="utf-8")
    assert "Left out" in section(text, "Fusion weights")
    assert "Left out" in section(text, "Example users")
    assert "left no learning curves" in section(text, "Training")
    assert "the log is not as the run found it" in section(text, "The data")
    assert "how often they are shown" in section(text, "New items")
    Page(text)


def test_a_changed_log_is_told(run_copy: Path, hostile_data: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(hostile_data / "tiny", data / "tiny", ignore=shutil.ignore_patterns("images"))
    log = pd.read_csv(data / "tiny" / "tiny.inter", sep="\t", dtype=str)
    log.sort_values("timestamp:float").head(len(log) // 4).to_csv(data / "tiny" / "tiny.inter", sep="\t", index=False)
    config = run_copy / "config.yaml"
    config.write_text(re.sub("data_path: .*", f"data_path: {data}", config.read_text()))
    assert "the log has changed" in section(write_report(run_copy).read_text(encoding="utf-8"), "Example users")


def test_of_a_log_that_changed_a_little_the_rest_is_shown(run_copy: Path, hostile_data: Path, tmp_path: Path) -> None:
    """Who was left out was not said."""
    data = tmp_path / "data"
    shutil.copytree(hostile_data / "tiny", data / "tiny", ignore=shutil.ignore_patterns("images"))
    log = pd.read_csv(data / "tiny" / "tiny.inter", sep="\t", dtype=str)
    gone = Evidence(run_copy).cases.users[0]
    log[log["user_id:token"] != gone].to_csv(data / "tiny" / "tiny.inter", sep="\t", index=False)
    config = run_copy / "config.yaml"
    config.write_text(re.sub("data_path: .*", f"data_path: {data}", config.read_text()))
    text = write_report(run_copy).read_text(encoding="utf-8")
    for title in ("Example users", "Fusion weights"):
        assert "Left out: the log has changed: 1 user&#x27;s interactions" in section(text, title)


def test_the_log_is_what_the_settings_leave_of_it(
    tiny_data: Path, arguments: Callable[..., list[str]], tmp_path: Path
) -> None:
    """Rows that `val_interval` left out were in the histories of the report, so that most users had none."""
    data = tmp_path / "data"
    shutil.copytree(tiny_data / "tiny", data / "tiny", ignore=shutil.ignore_patterns("images"))
    path = data / "tiny" / "tiny.inter"
    log = pd.read_csv(path, sep="\t", dtype=str)
    rejected = log.assign(**{"rating:float": "1"})
    pd.concat([rejected, log.assign(**{"rating:float": "5"})]).to_csv(path, sep="\t", index=False)
    assert run_meta.main([*arguments(data, tmp_path / "out"), "--val_interval.rating=[4,inf)"]) == 0
    evidence = Evidence(tmp_path / "out" / "tiny" / "latest")
    assert set(evidence.histories) == set(evidence.cases.users)
    assert evidence.log is not None
    assert len(evidence.log.rows) == len(log)


def test_ml_100k_is_the_users_own_where_there_is_one(
    tiny_data: Path, arguments: Callable[..., list[str]], tmp_path: Path
) -> None:
    """The report read the log that RecBole ships."""
    data = tmp_path / "data"
    (data / "ml-100k").mkdir(parents=True)
    shutil.copy(tiny_data / "tiny" / "tiny.inter", data / "ml-100k" / "ml-100k.inter")
    line = [one for one in arguments(data, tmp_path / "out", dataset="ml-100k") if "learners" not in one]
    assert run_meta.main([*line, "--learners.txt=~", "--learners.img=~"]) == 0
    evidence = Evidence(tmp_path / "out" / "ml-100k" / "latest")
    assert set(evidence.histories) == set(evidence.cases.users)


def test_after_an_update_the_lists_are_those_of_the_run(run_copy: Path) -> None:
    """A model that has learned what these users did next would show that it knows it."""
    before = section(write_report(run_copy).read_text(encoding="utf-8"), "Example users")
    model = mml.load(run_copy)
    model.update(mml.rest_of(run_copy))
    model.save(run_copy / "model")
    after = section(write_report(run_copy).read_text(encoding="utf-8"), "Example users")
    assert "as the model has learned since" in after
    rows = [re.findall(r"<tr><th scope=.row.>(\d+)</th><td>(.*?)</td>", own) for own in (before, after)]
    assert rows[0] == rows[1]
    assert rows[0]
    assert not Evidence(run_copy).model_is_as_trained
    (run_copy / "recommendations.csv").unlink()
    assert "Left out" in section(write_report(run_copy).read_text(encoding="utf-8"), "Example users")


def test_shown_new_items_are_counted(run_copy: Path) -> None:
    evidence = Evidence(run_copy)
    items = evidence.items
    assert items is not None
    new, old = items.index[items["is_new"]][0], items.index[~items["is_new"]][0]
    frame = evidence.cases.frame[["user_id", "shots"]]
    lists = pd.concat([frame.assign(rank=1, item_id=new), frame.assign(rank=2, item_id=old)])
    lists.to_csv(run_copy / "recommendations.csv", index=False)
    own = section(write_report(run_copy).read_text(encoding="utf-8"), "New items")
    assert "50.0 % of the places in the lists show new items." in own


def test_baselines_of_the_same_cases_are_in_the_chart(run_copy: Path) -> None:
    cases = Evidence(run_copy).cases
    same, other = run_copy.parent / "SASRec-seed1", run_copy.parent / "GRU-seed2"
    for folder, frame in ((same, cases.frame), (other, cases.frame.head(5))):
        folder.mkdir()
        frame.assign(method=folder.name.partition("-")[0], rank=1).to_csv(folder / "predictions.csv", index=False)
    text = write_report(run_copy).read_text(encoding="utf-8")
    assert "SASRec (baseline)" in section(text, "What was learned")
    assert "GRU (baseline)" not in text
    assert "No baseline was run" not in text
    assert "Against the best of the others, SASRec: " in text


def test_of_a_baselines_runs_the_newest_is_shown(run_copy: Path) -> None:
    """The run that `mml baseline` has just announced for the chart may come first by its name."""
    frame = Evidence(run_copy).cases.frame
    for place, name in enumerate(("SASRec-z", "SASRec-a")):
        path = run_copy.parent / name / "predictions.csv"
        path.parent.mkdir()
        frame.assign(method="SASRec", rank=place + 1).to_csv(path, index=False)
        os.utime(path, (place, place))
    assert set(Evidence(run_copy).baselines["SASRec"]) == {2}


def test_mml_is_compared_with_others_that_know_as_much(run_copy: Path) -> None:
    cases = Evidence(run_copy).cases
    assert "mml_online" in cases.ranks
    worst, best = 10**6, 1
    for name, rank in {"SLIST": worst, "SLIST_online": best, "SASRec_trans": worst}.items():
        folder = run_copy.parent / f"{name}-seed1"
        folder.mkdir()
        cases.frame.assign(method=name, rank=rank).to_csv(folder / "predictions.csv", index=False)
    text = write_report(run_copy).read_text(encoding="utf-8")
    own = section(text, "What was learned")
    frozen, online = re.findall(r"the best of the others, (\w+): ", own)
    assert frozen in ("popularity", "id", "txt", "img", "linear", "newcomers")
    assert online == "SLIST"
    assert "Online, where every event is counted as it comes, against the best of the others" in own
    labels = re.findall(r'class="label">(.*?)</text>', own)
    assert labels[0] == "mml, everything together"
    assert {"mml, online", "newcomers alone, online", "SLIST, online (baseline)", "SASRec_trans (baseline)"} <= {
        *labels
    }
    assert "mml_online" not in own
    whole = section(text, "The whole table")
    marked = re.findall(r'<th scope="row">([\w-]+) <span class="best">', whole)
    assert [name for name in marked if name.endswith("_online")] == ["SLIST_online"]
    assert len(marked) == 2  # SASRec_trans is alone in its protocol
    frozen_rows, online_rows, at_moments = html.unescape(whole).split(r"\midrule")[1:]
    assert "mml &" in frozen_rows
    assert r"SLIST\_online & \textbf{1.0000}" in online_rows
    assert r"mml\_online &" in online_rows
    assert r"SASRec\_trans &" in at_moments


def test_what_to_type_has_items_of_the_run(run_copy: Path, text: str) -> None:
    taken = mml.load(run_copy).items["n_interactions"]
    result = json.loads((run_copy / "result.json").read_text(encoding="utf-8"))
    first, second = result["popular_items"]
    assert taken[first] == taken.max()
    assert taken[second] == taken.drop(first).max()
    assert f"mml recommend tiny --items {first},{second}" in section(text, "The run")
    (run_copy / "result.json").write_text(json.dumps(result | {"popular_items": ["$(a), b", "c"]}))
    own = section(write_report(run_copy).read_text(encoding="utf-8"), "The run")
    assert html.escape("""--items '"$(a), b",c'""") in own


def test_dates_are_dates(text: str) -> None:
    own = section(text, "The data")
    assert re.search(r"The log goes from \d{4}-\d\d-\d\d", own)
    assert len(re.findall(r'<th scope="row">\d{4}-\d\d-\d\d', own)) == 40


def test_curves_from_a_csv(run_copy: Path) -> None:
    rows = [("id.pretrain", epoch, 9.0 - epoch, 0.1 * epoch) for epoch in range(4)]
    frame = pd.DataFrame(rows, columns=["stage", "epoch", "loss", "score"])
    frame.to_csv(run_copy / "learning_curves.csv", index=False)
    own = section(write_report(run_copy).read_text(encoding="utf-8"), "Training")
    assert own.count("<figure") == 2
    assert "id from 9 to 6" in own


def test_a_failing_report_fails_no_run(run_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("two\nlines")

    assert try_report(run_copy) == (run_copy / NAME, "")
    monkeypatch.setattr("mml.report.write.sections_of", fail)
    assert try_report(run_copy) == (None, "two lines")
