"""The keys of `learners.newcomers`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mml.settings import setting


@dataclass(frozen=True)
class NewcomersSettings:
    """Keys inside `learners.newcomers`: by which newcomers of the log's past the choices are made, and how."""

    stage: ClassVar[str] = "pretrain"
    section: ClassVar[str] = "Newcomers"

    shots: tuple[int, ...] = setting(
        [1, 2, 3, 4, 5, 6, 7, 8, 9], "Newcomers of the past are asked after so many of their interactions.", low=1
    )
    cuts: tuple[float, ...] = setting(
        [0.5, 0.625, 0.75, 0.875],
        "Earlier moments whose newcomers are asked: when this share of the log's users had arrived.",
        low=0.0,
        high=1.0,
    )
    cases: int = setting(2500, "Cases of these newcomers that mixtures are fitted to, at most.", low=1)
    product_cases: int = setting(
        1000,
        "Cases that the product's exponents are fitted to, at most; of more than 268,000 items (357,000 without "
        "content) fewer, so that their scores take 4 GB.",
        low=1,
    )
    depth: int = setting(30, "Targets further down a list than about this place count for nothing in the fits.", low=1)
    depth_cases: int = setting(200, "Cases from which the share of an item at that depth is estimated, at most.", low=1)
    top: int = setting(
        10,
        "Kernels of neighbours and followers, `content_shares` and `youths` are chosen by NDCG at this place.",
        low=1,
    )
    backing: float = setting(
        0.1,
        "Share of the present in the mixtures of neighbours, followers and content, beside its own.",
        low=0.0,
        high=1.0,
    )
    shrinkage: float = setting(0.03, "Penalty that draws the product's exponents together.", low=0.0)
    content_shares: tuple[float, ...] = setting(
        [0.0, 0.25, 0.5, 0.75, 1.0],
        "How far the product's exponents may go from those without what is alike by content to the likeliest ones with "
        "it; the least whose NDCG is hardly below the best is taken.",
        low=0.0,
        high=1.0,
    )
    content_loss: float = setting(
        0.01,
        "A share of `content_shares` may be taken whose NDCG is below the best one's by up to this share of it.",
        low=0.0,
        high=1.0,
    )
    youths: tuple[float, ...] = setting(
        [0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0],
        "Online, exponents of 1 / presence in the product, the share of the log for which an item has been there; "
        "the largest whose NDCG is hardly below the best is taken. The larger, the more recent items are listed. "
        "Without a history it is 0.",
        low=0.0,
    )
    youth_loss: float = setting(
        0.01,
        "An exponent of `youths` may be taken whose NDCG is below the best one's by up to this share of it.",
        low=0.0,
        high=1.0,
    )
    least_weight: float = setting(
        0.001, "Parts of less weight in a mixture are left out, which saves time.", low=0.0, high=0.03
    )
    furthest: int = setting(50, "Histories of so many interactions and more are alike in popularity.", low=1)
    youngest: float = setting(
        0.02, "An item counts as there for this share of the log at least, in the rate of its events.", low=1e-6
    )
    launch_cuts: tuple[float, ...] = setting(
        [0.5, 0.625, 0.75],
        "As cuts: at which it is learned what is taken of the items that nobody has touched.",
        low=0.0,
        high=1.0,
    )
    launch_cases: int = setting(200, "Cases of each of these moments by which their mixture is fitted, at most.", low=1)
    launch_folds: int = setting(5, "Folds of the items, each predicted by what was learned from the others.", low=2)
    launch_penalty: float = setting(0.01, "On the squared weights of the logit of untouched items.", low=0.0)
    age_penalty: float = setting(
        0.5,
        "On the squared steps of untouched items' logits from age to age, where launches are known, beside the "
        "likelihood of all cases.",
        low=0.0,
    )
    age_bend_penalty: float = setting(0.5, "On the squared bends of these logits over the ages.", low=0.0)
    likeness_decay: float = setting(
        0.9, "Weight of each earlier item of a history in its mean content, against the next.", low=0.0, high=1.0
    )
    newness_least: float = setting(
        0.001, "How often the next item is one that nobody has touched, or is not, at least.", low=1e-9, high=0.5
    )
    newness_soon: float = setting(
        0.03, "Share of the log's span that is added to the time since its end, so that its logarithm exists.", low=1e-6
    )
    newness_penalty: float = setting(0.001, "On the squared growth of newness with the logarithm of time.", low=0.0)
