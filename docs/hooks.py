"""What the site does beside MkDocs: a page for each notebook, and links to notebooks that lead there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

_LINK = re.compile(r"(\]\([\w./-]+)\.ipynb\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Beside NAME.ipynb, which can be downloaded, the page NAME.md."""
    from mkdocs.structure.files import File

    for file in list(files):
        path = PurePosixPath(file.src_uri)
        if path.suffix == ".ipynb":
            content = notebook_page(json.loads(file.content_string), path.name)
            files.append(File.generated(config, str(path.with_suffix(".md")), content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """In the repository a link leads to the notebook, on the site to its page."""
    return markdown if page.file.generated_by else _LINK.sub(r"\1.md)", markdown)


def notebook_page(notebook: Mapping[str, Any], name: str) -> str:
    """A notebook as Markdown: its texts, code and printed outputs."""
    parts = [part for cell in notebook["cells"] for part in _cell(cell)]
    parts.insert(1, f"[Download {name}]({name}) and open it in Jupyter, in an environment that has mml.")
    return "\n\n".join(parts) + "\n"


def _cell(cell: Mapping[str, Any]) -> Iterator[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] != "code":
        yield source
        return
    yield f"```python\n{source}\n```"
    for output in cell["outputs"]:
        text = "".join(output["text"] if "text" in output else output["data"]["text/plain"])
        yield "```text\n" + text.rstrip("\n") + "\n```"
