"""When items come out, and how much attention they get then.

Shapes: I items, D2 numbers of a taste vector.
"""

import math

import numpy as np

from mml.synthetic.arrays import Floats, Ints
from mml.synthetic.spec import DAY, Behaviour, SyntheticSpec


def launch_times(spec: SyntheticSpec, rng: np.random.Generator, older: np.random.Generator) -> Ints:
    """[I] Unix times: some items come after the split, some during the log before it, the others were there before.

    Args:
        spec: of the world.
        rng: of the launches during the log.
        older: of those before it.
    """
    late = round(spec.new_item_share * spec.items)
    middle = round(spec.middle_item_share * spec.items)
    launch = np.full(spec.items, spec.start, dtype=np.int64)
    launch[:late] = rng.integers(spec.split_time + 1, spec.split_time + spec.days_after * DAY * 7 // 10, size=late)
    launch[late : late + middle] = rng.integers(spec.start, spec.split_time, size=middle)
    if spec.older_days:
        launch[late + middle :] -= older.integers(1, spec.older_days * DAY, size=spec.items - late - middle)
    return launch[rng.permutation(spec.items)]


def attention_at_launch(behaviour: Behaviour, taste: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """The items' extra weights at their launch, and the means of these among items of the same content, [I] each.

    The weights are log-normal with mean `launch_boost`. The share `launch_told` of the logarithms' variance is that of
    a linear function of the taste [I, D2], the rest is chance.
    """
    appeal = taste @ rng.normal(size=taste.shape[1])
    appeal = (appeal - appeal.mean()) / appeal.std()
    spread, share = behaviour.launch_spread, behaviour.launch_told
    known = spread * math.sqrt(share) * appeal - spread**2 * share / 2
    chance = spread * math.sqrt(1 - share) * rng.normal(size=len(taste)) - spread**2 * (1 - share) / 2
    return behaviour.launch_boost * np.exp(known + chance), behaviour.launch_boost * np.exp(known)


def boost(behaviour: Behaviour, attention: Floats, age: Floats) -> Floats:
    """What a launch multiplies an item's weight by, `age` days after it; attention and age have the same last axis."""
    return np.asarray(1 + attention * np.exp(-np.maximum(age, 0) / behaviour.launch_days))
