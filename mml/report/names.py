"""What the names mean that reports and tables print, and how each method is drawn."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mml.baselines.entries import BASELINES
from mml.baselines.meanings import MEANINGS
from mml.method_names import (
    DOWN,
    FLOOR,
    FULL,
    FULL_RETRAIN,
    FUSION,
    NO_ADAPT,
    NO_GENERATOR,
    ONLINE,
    TRANS,
    protocol_of,
)
from mml.model.fusion import FUSIONS
from mml.model.learner import LEARNERS
from mml.model.learner.slot import MAIN
from mml.report.marks import MARKS, OTHER, Corners

_MODALITIES = {
    "txt": "the text learner: a sequential encoder over the items' texts",
    "text": "the text learner: a sequential encoder over the items' texts",
    "img": "the image learner: a sequential encoder over the items' pictures",
    "image": "the image learner: a sequential encoder over the items' pictures",
}
"""Learners' names by which modalities are usually called."""
_METHODS = {
    FULL: "the whole method: all learners, adapted to the user, fused",
    FLOOR: "the floor: every user gets what most old users took",
    FULL + ONLINE: "the whole method where every event before the next item is known, whoever's it was",
}
TERMS = {
    "R@10": "recall, the share of cases whose next item is among the first ten; also written hit rate",
    "N@10": "NDCG: 1 if the next item comes first, 0.63 if second, less further down, 0 beyond the tenth place",
    "M@10": "mean reciprocal rank: 1 if first, 1/2 if second, 0 beyond the tenth place",
    "T": "the moment that parts old users from new ones; all is learned from what was there up to T",
    "old users": "users with an interaction up to T; the learners are trained on them",
    "validation users": "the old users that arrived last; they choose and train the fusion; what has no "
    "encoder is fitted to them too, once all is chosen",
    "new users": "users whose first interaction is after T; nothing is learned from them but their own history",
    "case": "a new user after so many interactions, whose next item is to be found among all items",
    "shots": "the number of the new user's interactions that are known",
    "warm item": "an item that old users had touched up to T",
    "new (cold) item": "an item that nobody had touched up to T",
    "adaptation": "a few steps of training on one new user's own history",
    "fusion weight": "how much a learner counts for a user; the weights of a user sum to 1",
    "95 % interval": "where the value would lie for 95 of 100 samples of such users; whole users are the sample",
}
"""Terms of tables and charts."""
_LATER = {
    ONLINE: "fitted anew at moments of the new users' time to every event before",
    TRANS: "fine-tuned at moments on what new users had done before",
    FULL_RETRAIN: "trained anew at moments on the old users and what new users had done before",
    DOWN: "trained at moments on what new users had done before alone",
}
"""Ending of a baseline -> what it learns from after T."""

PALETTE = (
    ("#0b63a5", "#63b1ee"),
    ("#b3500a", "#f29b56"),
    ("#007a5e", "#45c8a2"),
    ("#a03c86", "#e594cd"),
    ("#806400", "#d8b94c"),
    ("#5b4bb0", "#aa9cf0"),
    ("#a8323c", "#f08f96"),
    ("#2b7489", "#7cc4d8"),
)
"""Colours on light and on dark ground, apart for colour-blind eyes too; charts label and mark their lines as well."""
GREY = ("#6b6b6b", "#a6a6a6")
_DEEPER = 0.45
_FIXED = {FULL: 0, MAIN: 1, "txt": 2, "text": 2, "img": 3, "image": 3, "linear": 4}


def deeper(colours: tuple[str, str]) -> tuple[str, str]:
    """The shades for what is online: darker on light ground, lighter on dark ground."""
    light, dark = (_mixed(colour, end) for colour, end in zip(colours, (0, 255), strict=True))
    return light, dark


def _mixed(colour: str, end: int) -> str:
    parts = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    return "#" + "".join(f"{round(part + _DEEPER * (end - part)):02x}" for part in parts)


def label(method: str) -> str:
    """A method as charts call it: `mml_online` -> `mml, online`."""
    return f"{method.removesuffix(ONLINE)}, online" if method.endswith(ONLINE) else method


def knows_later_events(method: str) -> bool:
    """Whether its evidence includes what others did after T, all of it or until some moment; others are frozen."""
    return protocol_of(method) != "frozen"


def learner_of(method: str) -> str:
    """The learner that a method's name is about: `id_no_adapt` -> `id`."""
    return method.removesuffix(NO_ADAPT).removesuffix(NO_GENERATOR).removesuffix(ONLINE)


def without_adaptation(learner: str) -> str:
    """The name of a learner that was not adapted."""
    return learner + NO_ADAPT


def is_variant(method: str) -> bool:
    """Whether a method is a part of mml that was changed, not one of its learners."""
    if method == FULL + ONLINE:
        return False
    return method.endswith((NO_ADAPT, NO_GENERATOR, ONLINE)) or method.startswith(FUSION)


def meaning(method: str) -> str:
    """What a method is, in a line."""
    if method in _METHODS:
        return _METHODS[method]
    baseline = _of_baseline(method)
    if baseline is not None:
        return baseline
    if method.endswith(ONLINE):
        return f"{method.removesuffix(ONLINE)}, where every event before the next item is known"
    if method.endswith(NO_ADAPT):
        return f"{learner_of(method)}, as it was trained, without adaptation to the user"
    if method.endswith(NO_GENERATOR):
        return f"{learner_of(method)}, without embeddings for new items"
    if method.startswith(FUSION):
        fusion = method.removeprefix(FUSION)
        return FUSIONS[fusion].meaning if fusion in FUSIONS else f"all learners, fused by {fusion}"
    return LEARNERS[method].meaning if method in LEARNERS else _MODALITIES.get(method, f"{method} alone")


def _of_baseline(method: str) -> str | None:
    """What a baseline is, None if it is none: `SLIST`, `SASRec-BPR_trans`, ..."""
    ending = next((one for one in _LATER if method.endswith(one)), "")
    name = method.removesuffix(ending)
    model, _, loss = name.partition("-")
    known = BASELINES[name].meaning if name in BASELINES else MEANINGS.get(model)
    if known is None:
        return None
    if ending:
        return f"{name}, {_LATER[ending]}"
    return f"the baseline {model}: {known}{f', by the loss {loss}' if loss else ''}"


@dataclass(frozen=True)
class Colours:
    """One colour, mark and kind of line per method, the same in every chart.

    What is online has its method's mark, hollow, and a dashed line in a deeper shade.

    Args:
        places: method -> its place in the palette; methods that are not in it are grey.
    """

    places: dict[str, int]

    @classmethod
    def of(cls, methods: Iterable[str]) -> Colours:
        """Known methods have fixed colours, others the next free ones."""
        places: dict[str, int] = {}
        own = list(dict.fromkeys(map(learner_of, methods)))
        used = {_FIXED[name] for name in own if name in _FIXED}
        free = [place for place in range(len(PALETTE)) if place not in used]
        for name in own:
            if name in _FIXED:
                places[name] = _FIXED[name]
            elif free and name != FLOOR and not is_variant(name):
                places[name] = free.pop(0)
        return cls(places)

    def css(self, method: str) -> str:
        """The colour as a style sheet names it, which knows light and dark."""
        place = self.places.get(learner_of(method))
        own = "grey" if place is None else f"m{place}"
        return f"var(--{own}-online)" if self.is_online(method) else f"var(--{own})"

    def plain(self, method: str) -> str:
        """The colour on white paper."""
        place = self.places.get(learner_of(method))
        own = GREY if place is None else PALETTE[place]
        return deeper(own)[0] if self.is_online(method) else own[0]

    def mark(self, method: str) -> Corners:
        """The mark of its points."""
        place = self.places.get(learner_of(method))
        return OTHER if place is None else MARKS[place]

    def is_online(self, method: str) -> bool:
        """Whether it is drawn dashed and hollow."""
        return method.endswith(ONLINE)
