"""Health, metrics, pictures, pages, and the specification against itself."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mml.serve.pictures import list_pictures
from tests.serve.server import Process, TestClient, stub_folder
from tests.serve.stub import Stub, write_pictures


def test_a_path_with_two_endpoints_allows_the_methods_of_both(client: TestClient) -> None:
    answer = client.delete("/items")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, POST")


def test_health_and_readiness(client: TestClient, tmp_path: Path) -> None:
    assert client.get("/health").json() == {"status": "ok"}
    state = {"status": "ready", "name": "shop", "model": tmp_path.name, "items": 24, "new_items": 3, "reloads": 0}
    assert client.get("/ready").json() == state


def test_a_stopping_server_is_not_ready(serve: Callable[..., Any]) -> None:
    with serve() as served:
        served.service.is_stopping = True
        answer = served.client.get("/ready")
    assert (answer.status_code, answer.json()["status"]) == (503, "stopping")


def test_metrics_count(client: TestClient) -> None:
    client.post("/recommend", json={"history": ["gone"]})
    client.post("/recommend", json={"top": 0})
    client.get("/similar/001")
    client.post("/events", json={"events": [{"user_id": "a", "item_id": "001"}]})
    client.get("/nowhere/at/all")
    lines = client.get("/metrics").text.splitlines()
    for line in (
        'mml_requests_total{method="POST",path="/recommend",status="200"} 1.0',
        'mml_requests_total{method="POST",path="/recommend",status="422"} 1.0',
        'mml_requests_total{method="GET",path="/similar/{item_id}",status="200"} 1.0',
        'mml_requests_total{method="GET",path="other",status="404"} 1.0',
        "mml_unknown_items_total 1.0",
        "mml_events_total 1.0",
        "mml_items 24.0",
        "mml_batch_persons_sum 1.0",
    ):
        assert line in lines


def test_pictures_and_nothing_beside_them(client: TestClient, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"secret")
    answer = client.get("/images/001")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/png")
    assert answer.content == (tmp_path / "images" / "001.png").read_bytes()
    for path in ("005", "001.png", "..%2Fsecret", "%2e%2e/secret", "..%2f..%2fetc/passwd", "/etc/passwd", "%00"):
        answer = client.get(f"/images/{path}")
        assert answer.status_code == 404, path
        assert list(answer.json()) == ["error"]


def test_links_out_of_the_folder_and_other_files_are_no_pictures(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "images")
    (tmp_path / "secret.png").write_bytes(b"secret")
    (folder / "out.png").symlink_to(tmp_path / "secret.png")
    (folder / "script.svg").write_text("<svg/>", encoding="utf-8")
    assert "out" not in list_pictures(folder)
    assert "secret" not in list_pictures(folder)
    assert "script" not in list_pictures(folder)
    assert list_pictures(None) == list_pictures(tmp_path / "none") == {}


def test_items_say_where_their_picture_is(client: TestClient) -> None:
    items = {item["item_id"]: item for item in client.get("/items", params={"limit": 30}).json()["items"]}
    assert items["001"]["image"] == "images/001"
    assert items["005"]["image"] is None


def test_a_model_without_pictures(serve: Callable[..., Any]) -> None:
    model = Stub()
    del model.image_folder
    with serve(model) as served:
        assert served.client.get("/images/001").status_code == 404


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_the_pages_ask_nobody_else_and_run_only_what_they_hold(client: TestClient, path: str) -> None:
    answer = client.get(path)
    policy = answer.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    for tag in ("script", "style"):
        [text] = re.findall(rf"<{tag}>(.*?)</{tag}>", answer.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", answer.text)
    assert not re.search(r"<[^>]*\s(style|on\w+)=", answer.text)
    assert client.head(path).status_code == 200


def test_headers_of_every_answer(client: TestClient) -> None:
    for path in ("/health", "/nowhere", "/images/001", "/"):
        headers = client.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "default-src 'none'" in headers["Content-Security-Policy"]


def test_the_specification_names_every_endpoint(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert sorted(f"{method} {path}" for path, methods in paths.items() for method in methods) == [
        "get /health",
        "get /images/{item_id}",
        "get /items",
        "get /metrics",
        "get /popular",
        "get /ready",
        "get /similar/{item_id}",
        "post /events",
        "post /items",
        "post /recommend",
        "post /recommend/batch",
        "post /reload",
    ]


@pytest.mark.slow
def test_schemathesis_finds_nothing(process: Callable[..., Process], tmp_path: Path) -> None:
    pytest.importorskip("schemathesis", reason="schemathesis is not installed")
    server = process(stub_folder(tmp_path / "model"), "--token", "s3cret")
    command = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"]
    command += ["run", f"{server.url}/openapi.json", "--header", "Authorization: Bearer s3cret", "--seed", "1"]
    command += ["--max-examples", "5", "--generation-database", "none", "--no-color"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Tested: 12" in run.stdout
