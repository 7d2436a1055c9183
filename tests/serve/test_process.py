"""The process: a new model under traffic, its end, its command line."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="serving's packages are not installed")

from mml.errors import InputError
from mml.extras import install_line
from mml.files.runs import named_folder
from mml.serve import command
from mml.serve.limits import Limits
from mml.serve.service import Service
from tests.serve.server import Process, httpx, running, stub_folder
from tests.serve.stub import TITLES, Stub

pytestmark = pytest.mark.slow


def _point(link: Path, target: Path) -> None:
    """Let a link point elsewhere, as a run does."""
    fresh = link.with_name(".fresh")
    fresh.symlink_to(target)
    os.replace(fresh, link)


def _until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


@pytest.fixture
def latest(tmp_path: Path) -> Path:
    """A link `latest` to one of two models, whose items have different titles."""
    stub_folder(tmp_path / "old", seconds=0.01, titles={token: f"old {token}" for token in TITLES})
    stub_folder(tmp_path / "new", seconds=0.01, titles={token: f"new {token}" for token in TITLES})
    link = tmp_path / "latest"
    link.symlink_to("old")
    return link


class _Traffic:
    """Threads that ask without a pause and keep what they got."""

    def __init__(self, url: str, threads: int = 4) -> None:
        self._url = url
        self._is_over = threading.Event()
        self.statuses: list[int] = []
        self.generations: list[set[str]] = []
        self._threads = [threading.Thread(target=self._ask) for _ in range(threads)]

    def _ask(self) -> None:
        with httpx.Client(trust_env=False, timeout=20) as client:
            while not self._is_over.is_set():
                answer = client.post(f"{self._url}/recommend", json={"history": ["001"]})
                self.statuses.append(answer.status_code)
                self.generations.append({item["title"].split()[0] for item in answer.json()["items"]})

    def __enter__(self) -> _Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.parametrize("how", ["signal", "link"])
def test_a_new_model_under_traffic_drops_no_request(
    process: Callable[..., Process], latest: Path, tmp_path: Path, how: str
) -> None:
    watch = "0.05" if how == "link" else "0"
    server = process(latest, "--watch", watch)
    with _Traffic(server.url) as traffic:
        _until(lambda: len(traffic.statuses) > 20)
        _point(latest, tmp_path / "new")
        if how == "signal":
            server.run.send_signal(signal.SIGHUP)
        _until(lambda: {"new"} in traffic.generations)
    assert set(traffic.statuses) == {200}
    assert all(len(generation) == 1 for generation in traffic.generations)  # no list meets both models
    assert httpx.get(f"{server.url}/ready", trust_env=False).json()["reloads"] == 1


def test_a_new_model_by_request(process: Callable[..., Process], latest: Path, tmp_path: Path) -> None:
    server = process(latest, "--watch", "0", "--token", "s3cret")
    headers = {"Authorization": "Bearer s3cret"}
    with httpx.Client(trust_env=False, headers=headers, base_url=server.url) as client:
        client.post("/items", json={"items": [{"item_id": "x1", "title": "posted"}]})
        _point(latest, tmp_path / "nowhere")
        answer = client.post("/reload")
        assert answer.status_code == 503
        assert answer.json()["error"].startswith("the new model cannot be read, the old one goes on: ")
        assert client.post("/recommend", json={}).json()["items"][0]["title"].startswith("old")
        _point(latest, tmp_path / "new")
        assert client.post("/reload").json()["model"] == "new"
        titles = {item["title"].split()[0] for item in client.get("/items?limit=30").json()["items"]}
        assert titles == {"new", "posted"}  # what was posted is still there
        assert httpx.post(f"{server.url}/reload", trust_env=False).status_code == 401


def test_posted_items_outlive_a_model_that_has_them(tmp_path: Path) -> None:
    """An update takes them in; when the model from before comes back, it lacked them until the next start."""
    generations = [dict.fromkeys(ids, "a cup") for ids in (["001"], ["001", "x1"], ["001"], ["001"])]
    stubs = iter([Stub(titles=titles) for titles in generations])
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "items.jsonl").write_text('{"item_id": "x0", "title": "a mug"}\n', encoding="utf-8")
    service = Service("shop", tmp_path, lambda _: next(stubs), tmp_path / "served")

    async def scene() -> list[list[str]]:
        async with running(service) as client:
            await client.post("/items", json={"items": [{"item_id": "x1", "title": "a cup"}]})
            found = [service.current.catalogue.ids]
            for _ in range(3):
                await service.models.reload(service.worker)
                found.append(service.current.catalogue.ids)
        return found

    assert [sorted(ids) for ids in asyncio.run(scene())] == [["001", "x0", "x1"]] * 4


def test_saved_models_side_by_side_keep_their_own_journals(process: Callable[..., Process], tmp_path: Path) -> None:
    """They wrote into one, so that a shop took up the users and items of the other."""
    event = {"user_id": "1", "item_id": "001", "timestamp": 1}
    folders = [stub_folder(tmp_path / "models" / name) for name in ("shop", "books")]
    stub_folder(tmp_path / "output" / "shop" / "run1" / "model")
    for folder in (*folders, tmp_path / "output" / "shop" / "run1"):
        stub_folder(folder)
        server = process(folder, "--watch", "0")
        answer = httpx.post(f"{server.url}/events", json={"events": [event]}, trust_env=False)
        assert answer.status_code == 200
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("events.jsonl")}
    kept = ("models/served/shop", "models/served/books", "output/shop/served")
    assert found == {f"{folder}/events.jsonl" for folder in kept}
    assert all(len(path.read_text(encoding="utf-8").splitlines()) == 1 for path in tmp_path.rglob("events.jsonl"))


def test_a_model_that_stumbles_over_posted_items_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It ended the watch in silence, so that no later model was taken either."""
    wrong, right = (Stub(titles={"001": f"{name} cup"}) for name in ("wrong", "right"))
    stubs = {"old": Stub(titles={"001": "old cup"}), "wrong": wrong, "right": right}
    monkeypatch.setattr(wrong, "add_items", lambda table: 1 / 0)
    for name in stubs:
        stub_folder(tmp_path / name)
    link = tmp_path / "latest"
    link.symlink_to("old")
    service = Service("shop", link, lambda folder: stubs[folder.name], tmp_path / "served", watch=0.01)

    async def scene() -> list[str | None]:
        found = []
        async with running(service) as client:
            await client.post("/items", json={"items": [{"item_id": "x1", "title": "mug"}]})
            for name in ("wrong", "right"):
                _point(link, tmp_path / name)
                await asyncio.sleep(0.3)
                found.append(service.current.catalogue.title("001"))
        return found

    assert asyncio.run(scene()) == ["old cup", "right cup"]
    assert "the new model cannot be read, the old one goes on: division by zero" in caplog.text


def test_without_a_token_nobody_reloads_by_request(serve: Callable[..., Any]) -> None:
    with serve() as served:
        answer = served.client.post("/reload")
    assert answer.status_code == 403
    assert answer.json() == {"error": "set a token (MML_TOKEN) to reload by request, or send the process SIGHUP"}


def test_a_target_that_is_not_complete_is_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from tests.serve.__main__ import load

    stub_folder(tmp_path / "old")
    (tmp_path / "new").mkdir()
    link = tmp_path / "latest"
    link.symlink_to("old")
    service = Service("shop", link, load, tmp_path / "served", watch=0.01)

    async def scene() -> int:
        async with running(service):
            _point(link, tmp_path / "new")
            await asyncio.sleep(0.2)
            assert service.models.reloads == 0
            stub_folder(tmp_path / "new")
            for _ in range(200):
                await asyncio.sleep(0.01)
            reloads = service.models.reloads
            (tmp_path / "new" / "stub.json").write_text("{", encoding="utf-8")  # later, in the same place
            await asyncio.sleep(0.2)
            return reloads

    assert asyncio.run(scene()) == 1
    assert len([record for record in caplog.records if "tried again" in record.message]) == 2


def test_a_model_that_is_updated_where_it_is_is_taken(tmp_path: Path) -> None:
    from tests.serve.__main__ import load

    run = tmp_path / "run"
    stub_folder(run / "model")
    (run / "result.json").write_text("{}", encoding="utf-8")
    service = Service("shop", run, lambda folder: load(folder / "model"), tmp_path / "served", watch=0.01)

    async def scene() -> list[int]:
        found = []
        async with running(service):
            (run / "result.json").write_text("{ }", encoding="utf-8")  # not the model's
            for titles in (None, {"001": "updated"}):
                if titles:
                    stub_folder(run / "model", titles=titles)
                await asyncio.sleep(0.3)
                found.append(service.models.reloads)
            assert len(service.models.current.catalogue) == 1
        return found

    assert asyncio.run(scene()) == [0, 1]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_stop_answers_what_has_begun(process: Callable[..., Process], tmp_path: Path, number: int, code: int) -> None:
    server = process(stub_folder(tmp_path / "model", seconds=0.7), "--batch", "1")
    answers: list[int] = []

    def ask() -> None:
        answers.append(httpx.post(f"{server.url}/recommend", json={}, trust_env=False, timeout=20).status_code)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    _until(lambda: len(answers) + _waiting(server) >= 5)  # and one is with the model: all six have begun
    assert server.end(number) == code
    for thread in threads:
        thread.join()
    assert answers == [200] * 6
    assert "Stopped. `mml serve" in server.said
    assert "Traceback" not in server.said


def _waiting(server: Process) -> float:
    text = httpx.get(f"{server.url}/metrics", trust_env=False).text
    return float(text.split("\nmml_waiting ")[1].split()[0])


def test_a_stopping_worker_takes_no_more(tmp_path: Path) -> None:
    service = Service("shop", tmp_path, lambda _: Stub(), tmp_path / "served", Limits())

    async def scene() -> httpx.Response:
        async with running(service) as client:
            await service.worker.close()
            answer = await client.post("/recommend", json={})
            service.worker._task = None
            return answer

    answer = asyncio.run(scene())
    assert answer.status_code == 503
    assert answer.json() == {"error": "the server is stopping"}
    assert answer.headers["Retry-After"] == "5"


def _error(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert command.main(list(arguments), lambda _: Stub()) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_mistakes_of_the_command_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, process: Callable[..., Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "shop is neither a run's folder nor a dataset with a run in output; train first: mml train shop" in _error(
        capsys, "shop"
    )
    model = stub_folder(tmp_path / "output" / "shop" / "run1")
    (model.parent / "latest").symlink_to("run1")
    port = process(model.parent / "latest").url.rsplit(":", 1)[1]
    assert f"127.0.0.1:{port} cannot be listened on" in _error(capsys, "shop", "--port", port)
    assert "--token is empty" in _error(capsys, "shop", "--token", "")
    assert "the token may have" in _error(capsys, "shop", "--token", "two words")
    monkeypatch.setenv("MML_TOKEN", "ü")
    assert "the token may have" in _error(capsys, "shop")


@pytest.mark.parametrize("option", [("--port", "70000"), ("--window", "-1"), ("--queue", "0"), ("--watch", "nan")])
def test_options_out_of_bounds(option: tuple[str, str]) -> None:
    with pytest.raises(SystemExit) as end:
        command.main(["shop", *option])
    assert end.value.code == 2


def test_a_dataset_stands_for_its_latest_run(tmp_path: Path) -> None:
    run = stub_folder(tmp_path / "output" / "shop" / "run1")
    (run.parent / "latest").symlink_to("run1")
    assert named_folder("shop", tmp_path / "output") == run.parent / "latest"
    assert named_folder(str(run), tmp_path / "output") == run
    with pytest.raises(InputError, match="an empty name is neither"):
        named_folder("", tmp_path / "output")


def test_missing_packages_are_said_with_their_install_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "mml.serve.server", None)
    said = _error(capsys, str(stub_folder(tmp_path)))
    assert install_line("serve") in said
    assert "is missing): pip install " in said


def test_nobody_waits_for_a_model_that_is_not_made_yet(serve: Callable[..., Any]) -> None:
    with serve() as served:
        assert served.model.prepared == 1
        served.client.post("/items", json={"items": [{"item_id": "x1", "title": "posted"}]})
        assert served.model.prepared == 2
        assert served.client.post("/recommend", json={}).status_code == 200
        assert served.model.prepared == 2
