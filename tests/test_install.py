"""What an installation needs: enough packages, none of RecBole's heavy ones, and the two commands of the README."""

import ast
import os
import re
import shlex
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest

from mml.extras import EXTRAS, install_line

pytestmark = pytest.mark.slow

BLOCKED = ("ray", "hyperopt")
OPTIONAL = ("transformers", "sentence_transformers", "timm")

IMPORT_ALL = f"""
import importlib, pkgutil, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED!r}:
            raise ImportError(name + " is blocked", name=name)

sys.meta_path.insert(0, Refuse())
names = ["recbole.config", "recbole.data", "recbole.data.dataset", "recbole.evaluator", "recbole.model",
         "recbole.model.general_recommender", "recbole.model.sequential_recommender", "recbole.trainer",
         "recbole.utils", "mml"]
for name in names:
    importlib.import_module(name)

def fail(name):
    raise sys.exc_info()[1]

for module in pkgutil.walk_packages(sys.modules["mml"].__path__, "mml.", onerror=fail):
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {OPTIONAL!r}:
            raise
loaded = [name for name in {BLOCKED!r} if name in sys.modules]
assert not loaded, loaded
"""


IMPORT_FEW = """
import sys, mml
assert not {"torch", "recbole", "pandas"} & set(sys.modules), "too much"
assert {"fit", "load", "run"} <= set(dir(mml))
import inspect
print(*inspect.signature(mml.fit).parameters)
"""


def test_the_version_is_there_without_torch_and_fit_has_its_arguments() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT_FEW], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["data", "items", "images", "name", "columns", "data_path", "overwrite", "settings"]


def normalised(name: str) -> str:
    """A distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def name_of(requirement: str) -> str:
    """Normalised name at the head of a requirement such as `numpy>=1.26 ; python_version < '3.12'`."""
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match is not None, requirement
    return normalised(match.group())


@cache
def locked(root: Path) -> frozenset[str]:
    """Names in requirements.lock."""
    lines = (root / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return frozenset(name_of(line) for line in lines if line and not line.startswith("#"))


@cache
def declared(root: Path) -> dict[str, list[str]]:
    """Requirements of setup.py by extra, those of mml itself under the empty name."""
    code = (
        "import json, runpy, setuptools\n"
        "setuptools.setup = lambda **a: print(json.dumps({'': a['install_requires'], **a['extras_require']}))\n"
        "runpy.run_path('setup.py')\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=root, check=True, capture_output=True, text=True)
    return {extra: [name_of(item) for item in items] for extra, items in ast.literal_eval(result.stdout).items()}


def third_party_imports(root: Path) -> dict[str, str]:
    """Top-level modules that our code imports from outside, each with one file that does."""
    ours = {path.stem for path in root.iterdir() if path.is_dir() or path.suffix == ".py"}
    files = [*root.glob("mml/**/*.py"), *root.glob("prepare_multimodal_information_file/**/*.py"), *root.glob("*.py")]
    found: dict[str, str] = {}
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            else:
                continue
            found.update({name.partition(".")[0]: str(file.relative_to(root)) for name in names})
    return {name: file for name, file in found.items() if name not in sys.stdlib_module_names | ours}


def test_nothing_needs_ray_or_hyperopt(repo_root: Path) -> None:
    result = subprocess.run([sys.executable, "-c", IMPORT_ALL], cwd=repo_root, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_lock_has_no_ray(repo_root: Path) -> None:
    assert not locked(repo_root) & {"ray", "hyperopt", "recbole"}


def test_lock_has_no_cuda_packages_and_no_local_versions(repo_root: Path) -> None:
    assert not [name for name in locked(repo_root) if name.startswith(("nvidia", "cuda", "triton"))]
    assert "+" not in (repo_root / "requirements.lock").read_text(encoding="utf-8")


@pytest.mark.parametrize("extra", ["", "dev", "images"])
def test_lock_covers_setup(repo_root: Path, extra: str) -> None:
    assert set(declared(repo_root)[extra]) <= locked(repo_root)


def test_every_import_is_declared(repo_root: Path) -> None:
    known = {"recbole", "setuptools"}.union(*declared(repo_root).values())
    distributions = metadata.packages_distributions()
    undeclared = {
        module: file
        for module, file in third_party_imports(repo_root).items()
        if not known & {normalised(name) for name in [*distributions.get(module, []), module]}
    }
    assert not undeclared


def test_version_is_the_packages(repo_root: Path) -> None:
    import mml

    command = [sys.executable, "setup.py", "--version"]
    result = subprocess.run(command, cwd=repo_root, check=True, capture_output=True, text=True)
    assert result.stdout.split()[-1] == mml.__version__


@pytest.mark.parametrize("target", ["demo", "install", "test", "lint", "types", "check", "bench", "clean"])
def test_makefile_has_target(repo_root: Path, target: str) -> None:
    makefile = (repo_root / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_makefile_and_setup_name_one_recbole(repo_root: Path) -> None:
    named = {
        version
        for file in ("Makefile", "setup.py", "requirements.lock")
        for version in re.findall(r"recbole==([0-9.]+[0-9])", (repo_root / file).read_text(encoding="utf-8"))
    }
    assert named == {"1.2.1"}


@pytest.mark.parametrize("extra", list(EXTRAS))
def test_messages_install_what_setup_declares(repo_root: Path, extra: str) -> None:
    words = shlex.split(install_line(extra))
    assert words[:2] == ["pip", "install"]
    assert [name_of(word) for word in words[2:]] == declared(repo_root)[extra]


def test_nobody_is_told_to_install_a_strangers_package(repo_root: Path) -> None:
    """On PyPI the name mml is another project's."""
    wrong = re.compile(r"pip install\s+(?:-\S+\s+)*[\"']?mml\b(?!-)")
    folders = ("mml", "docs", "configs", "script", "prepare_multimodal_information_file")
    suffixes = {".py", ".md", ".html", ".ipynb", ".yaml", ".sh"}
    paths = [path for folder in folders for path in (repo_root / folder).rglob("*") if path.suffix in suffixes]
    paths += [*repo_root.glob("*.md"), repo_root / "Makefile"]
    texts = {path: path.read_text(encoding="utf-8") for path in paths}
    assert len(texts) > 300
    assert [str(path) for path, text in texts.items() if wrong.search(text)] == []


@pytest.mark.parametrize("command", ["train shop", "check shop", "recommend shop --items 1", "result"])
def test_missing_packages_are_told_in_one_line(command: str, repo_root: Path) -> None:
    bare = [sys.executable, "-S", "-m", "mml", *command.split()]  # without site-packages
    done = subprocess.run(bare, capture_output=True, text=True, check=False, cwd=repo_root)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: mml needs the package ")
    assert "make install" in line


@pytest.mark.parametrize("script", ["run_meta.sh ml-100k", "print_result.sh", "compare.sh ml-100k --dry-run"])
def test_scripts_without_packages_say_so(script: str, repo_root: Path, tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -S "$@"\n')
    bare.chmod(0o755)
    name, *rest = script.split()
    line = ["bash", str(repo_root / "script" / name), *rest]
    done = subprocess.run(line, capture_output=True, text=True, check=False, env={**os.environ, "PYTHON": str(bare)})
    assert done.returncode == 2
    (said,) = done.stderr.splitlines()
    assert said.startswith(f"error: {bare} does not run, or has not what mml needs: make install")


@pytest.mark.parametrize("target", ["install", "install-hashed"])
def test_what_a_link_leads_to_is_not_emptied(repo_root: Path, tmp_path: Path, target: str) -> None:
    for file in ("Makefile", "setup.py", "requirements.lock"):
        (tmp_path / file).write_bytes((repo_root / file).read_bytes())
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    (tmp_path / ".venv").symlink_to(elsewhere)
    done = subprocess.run(["make", target], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "make: .venv is a link, and what it leads to would be emptied: remove the link" in done.stderr
    assert (elsewhere / "kept").exists()
