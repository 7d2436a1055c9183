"""Hostile YAML: refused in one line, at once, wherever it comes from."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mml.config.keys import check
from mml.config.plain_yaml import load_plain
from mml.config.sources import Loader, parse_arguments, read_yaml
from mml.errors import InputError
from mml.tables.reading import read_table
from mml.tuning.space import read_ranges

BOMB = (
    "a: &a ["
    + ", ".join(["x"] * 30)
    + "]\n"
    + "\n".join(
        f"{name}: &{name} [{', '.join([f'*{before}'] * 30)}]"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
)
"""30^9 values in a thousand characters."""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "line 3: aliases such as *b stand for more than 10,000 values; write them out."),
        ("? [a, b]\n: 1\n", ", line 1: a key is a list, a mapping or an alias; write plain text."),
        ("a: 1\n{b: 1}: 2\n", "line 2: a key is a list, a mapping or an alias; write plain text."),
        ("a: &a b\n*a : 2\n", "line 2: a key is a list, a mapping or an alias; write plain text."),
        ("a: &a [*a]\n", ": *a stands inside of what it stands for; write the values out."),
        ("a: &a\n  b: {c: *a}\n", "line 2: *a stands inside of what it stands for; write the values out."),
        ("&a [b, *a]", ": *a stands inside of what it stands for; write the values out."),
        ("a: " + "[" * 500 + "]" * 500, ": values are nested more than 50 deep; write them flatter."),
        ("a: " + "[" * 10**5, ": values are nested more than 50 deep; write them flatter."),
        ("a: " + "{b: " * 300 + "}" * 300, ": values are nested more than 50 deep; write them flatter."),
        ("\n".join(" " * n + "a:" for n in range(99)), "values are nested more than 50 deep; write them flatter."),
        (
            "a: &a " + "[" * 40 + "]" * 40 + "\nb: " + "[" * 20 + "*a" + "]" * 20,
            "line 2: values are nested more than 50 deep; write them flatter.",
        ),
        ("a: 1\nb:\n  c: 2\n  c: 3\n", "line 4: key 'c' is there twice; make one of them."),
        (f"a:\n  ? 0x{'f' * 6000}\n  : 1\n", "line 2: a key has more than 1,000 characters; write a name."),
        ("- a: 1\n  a: 2\n", "line 2: key 'a' is there twice; make one of them."),
    ],
)
def test_what_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(InputError) as caught:
        read_yaml(tmp_path / "mine.yaml", Loader)
    assert str(caught.value).startswith(f"{tmp_path / 'mine.yaml'}")
    assert str(caught.value).endswith(message)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("key", ["val_interval", "seq_len", "alias_of_item_id", "seed", "topk"])
@pytest.mark.parametrize("form", ["{}", "[{}]", "{{a: {}}}", "{{a: [{}]}}"])
def test_endless_numbers(key: str, form: str) -> None:
    """Python writes no number of more than 4,300 digits, so no message can quote one."""
    settings = parse_arguments([f"--{key}={form.format('0x' + 'f' * 6000)}"], Loader)
    with pytest.raises(
        InputError, match=f"^here: key '{key}' .*a number of thousands of digits|^here: key '{key}' has"
    ):
        check(settings, "here")


def test_what_stands_in_a_files_place_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    for path, kind in ((tmp_path / "a.yaml", "a pipe"), (tmp_path, "a folder"), (Path("/dev/null"), "a device")):
        with pytest.raises(InputError, match=f"config file {path} is {kind}, not a plain file."):
            read_yaml(path, Loader)
        with pytest.raises(InputError, match=f"{path}: is {kind}; write the table into a plain file first."):
            read_table(path)
    with pytest.raises(InputError, match="does not exist"):
        read_yaml(tmp_path / "none", Loader)


def test_the_bomb_is_small_and_refused_at_once(tmp_path: Path) -> None:
    """In a process that may take little more memory and time than an import does."""
    assert len(BOMB) < 1500
    (tmp_path / "bomb.yaml").write_text(BOMB)
    code = f"""
from pathlib import Path
from mml.config.sources import Loader, read_yaml
import resource
resource.setrlimit(resource.RLIMIT_CPU, (int(resource.getrusage(resource.RUSAGE_SELF).ru_utime) + 3,) * 2)
try:
    read_yaml(Path({str(tmp_path / "bomb.yaml")!r}), Loader)
except ValueError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "aliases such as *b stand for more than 10,000 values" in done.stdout


@pytest.mark.parametrize("value", ["{[a]: 1}", "&a [*a]", "[" * 99 + "]" * 99, "{a: 1, a: 2}"])
def test_on_the_command_line(value: str) -> None:
    with pytest.raises(InputError, match=r"^command line: the value of '--topk="):
        parse_arguments([f"--topk={value}"])


def test_in_ranges_as_recbole_writes_them(tmp_path: Path) -> None:
    (tmp_path / "hyper.test").write_text("learning_rate choice " + "[" * 99 + "]" * 99 + "\n")
    with pytest.raises(InputError, match="line 1: values are nested"):
        read_ranges(tmp_path / "hyper.test", "mml", lambda key: True)


def test_what_is_sound_stays_as_the_loader_reads_it() -> None:
    text = "a: &a {b: [1, 2.5, ~]}\nc: *a\nd: {<<: *a, e: 2001-01-01}\n? f\n: {}\ng: [[], [[1e-3]]]\n"
    assert load_plain(text, Loader, "here") == yaml.load(text, Loader=Loader)
    assert load_plain("", Loader, "here") is None
    nested = "[" * 50 + "]" * 50
    assert load_plain(nested, Loader, "here") == yaml.safe_load(nested)


@pytest.mark.parametrize("text", ["a: *b", "a: [", "{", "a: b: c", "--- 1\n--- 2", "!!python/name:os.system x", "\x00"])
def test_what_is_no_yaml_is_said_by_the_loader(text: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(InputError, match="not a valid YAML file"):
        read_yaml(tmp_path / "mine.yaml", Loader)
