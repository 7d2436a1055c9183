"""`configs/baselines.yaml`: the keys that baselines have beside mml's and RecBole's, written from the declarations.

python -m mml.baselines.reference > configs/baselines.yaml
"""

from __future__ import annotations

from collections.abc import Iterator

from mml.baselines.declared import OwnSettings, RecBoleSettings
from mml.baselines.entries import BASELINES
from mml.config.reference import described
from mml.settings import Key, keys_of

_HEAD = """\
# Defaults of mml baseline MODEL NAME [--key=value ...], written from the declarations by
# python -m mml.baselines.reference > configs/baselines.yaml. Keys of the split, of the features and of the evaluation
# are those of overall.yaml and of the dataset's file; they are the same for mml and for every baseline. What follows is
# how a baseline is trained."""


def sections() -> Iterator[tuple[str, str, dict[str, Key]]]:
    """Title, what it is of, and keys of each section; what an entry of our own declares is in `own`."""
    own = keys_of(OwnSettings)
    for entry in sorted(BASELINES, key=lambda one: one.name.lower()):  # whichever was imported first
        if entry.settings is not None:
            own |= keys_of(entry.settings)
    for declared, keys in ((RecBoleSettings, keys_of(RecBoleSettings)), (OwnSettings, own)):
        yield declared.section, (declared.__doc__ or "").rstrip("."), keys


def reference() -> str:
    """The file's text."""
    lines = [_HEAD]
    for title, about, keys in sections():
        lines += ["", f"# {about}", f"{title}:"]
        lines += [line for name, key in keys.items() for line in described(f"  {name}", key)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(reference(), end="")
