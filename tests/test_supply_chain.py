"""What is installed by checksum is what is locked, and what builds the package is locked too."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)(?: ; ([^\\\n]+))?", re.MULTILINE)


def pins(path: Path) -> dict[tuple[str, str], str]:
    """(name, environments) -> version."""
    return {(name.lower(), marker.strip()): version for name, version, marker in _PIN.findall(path.read_text())}


def test_checksums_are_of_the_locked_versions(repo_root: Path) -> None:
    locked, hashed = pins(repo_root / "requirements.lock"), pins(repo_root / "requirements.hashes")
    recbole = re.search(r"^RECBOLE := recbole==(.*)$", (repo_root / "Makefile").read_text(), re.MULTILINE)
    assert recbole is not None
    assert hashed.pop(("recbole", "")) == recbole[1]
    assert locked.pop(("torch", ""))
    assert hashed == locked


def test_every_package_has_checksums(repo_root: Path) -> None:
    text = (repo_root / "requirements.hashes").read_text()
    body = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    packages = re.split(r"(?m)^(?=[A-Za-z0-9])", body)[1:]
    assert len(packages) > 80
    for package in packages:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", package), package


def test_what_builds_the_package_is_locked(repo_root: Path) -> None:
    requires = tomllib.loads((repo_root / "pyproject.toml").read_text())["build-system"]["requires"]
    locked = {f"{name}=={version}" for (name, _), version in pins(repo_root / "requirements.lock").items()}
    assert set(requires) <= locked
