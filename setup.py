"""Packaging of mml. Tool settings live in pyproject.toml, exact versions in requirements.lock."""

import re
import runpy
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent

# RecBole itself is not listed: its metadata pins ray<=2.6.3 (no wheels for Python 3.12 and later), colorlog==4.7.2 and
# colorama==0.4.4, though none of these pins is needed by what we use. It is installed by
#     pip install --no-deps recbole==1.2.1
# and what it imports is listed here instead. ray is imported by recbole.quick_start only, which mml never touches;
# thop, tabulate, plotly, psutil and hyperopt are imported inside functions that mml never calls.
INSTALL_REQUIRES = [
    "torch>=2.10",  # before it, weights_only could be made to run code
    "numpy>=1.26",
    "pandas>=2.1,<3",  # pandas 3 turns RecBole's `feat[field].fillna(inplace=True)` into a silent no-op
    "pyyaml>=6.0",
    "rich>=13.7",
    "tqdm>=4.60",  # recbole.trainer
    "safetensors>=0.4,<1",
    "scipy>=1.11",  # recbole.data
    "scikit-learn>=1.3",  # recbole.evaluator
    "tensorboard>=2.17",  # recbole.utils; older ones break on numpy 2
    "threadpoolctl>=3.1",
    "colorlog>=4.7",  # recbole.utils.logger
    "colorama>=0.4.4",  # recbole.utils.logger
    "texttable>=1.6",  # recbole.utils
]

# What messages tell to install, too.
EXTRAS = runpy.run_path(str(ROOT / "mml" / "extras.py"))["EXTRAS"]
# The documentation site.
DOCS = ["mkdocs>=1.6,<2", "mkdocs-material>=9.6,<10", "mkdocstrings[python]>=0.30,<2"]

EXTRAS_REQUIRE = {
    **EXTRAS,
    "docs": DOCS,
    "dev": [
        "pytest>=8.0",
        "pytest-cov>=5.0",
        "pytest-xdist>=3.6",
        "import-linter>=2.0",
        "hypothesis>=6.100",
        "ruff>=0.6",
        "mypy>=1.11",
        "pandas-stubs<3",
        "types-PyYAML",
        "httpx>=0.27",
        "selenium>=4.20",
        *EXTRAS["images"],
        *EXTRAS["plots"],
        *EXTRAS["serve"],
        *EXTRAS["tune"],
    ],
}


def read_version() -> str:
    """Version from mml/version.py, read as text: importing mml would need its dependencies."""
    text = (ROOT / "mml" / "version.py").read_text(encoding="utf-8")
    match = re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE)
    if match is None:
        raise RuntimeError('mml/version.py: no line `__version__ = "..."`')
    return match.group(1)


def read_readme() -> str:
    """README.md for the package index, empty if the file is not there."""
    path = ROOT / "README.md"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


setup(
    name="mml",
    version=read_version(),
    description="Multimodal meta-learning for cold-start sequential recommendation, on RecBole",
    long_description=read_readme(),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11",
    # configs/ lies at the root of the repository and inside the package (mml/configs/) once installed.
    packages=[
        *find_packages(
            include=["mml", "mml.*", "prepare_multimodal_information_file", "prepare_multimodal_information_file.*"]
        ),
        "mml.configs",
    ],
    package_dir={"mml.configs": "configs"},
    package_data={"mml": ["py.typed", "serve/*.html"], "mml.configs": ["*.yaml", "*/*.yaml"]},
    entry_points={"console_scripts": ["mml=mml.cli.main:main"]},
    install_requires=INSTALL_REQUIRES,
    extras_require=EXTRAS_REQUIRE,
)
