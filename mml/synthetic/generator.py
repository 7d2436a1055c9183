"""From a spec to a log with its ground truth."""

from dataclasses import dataclass

import numpy as np

from mml.synthetic.arrays import Floats, Ints
from mml.synthetic.choices import choose_items
from mml.synthetic.market import open_market, weekly_noise
from mml.synthetic.spec import SyntheticSpec
from mml.synthetic.visits import order_times
from mml.synthetic.world import Items, Users, make_items, make_users


@dataclass(frozen=True)
class SyntheticData:
    """A generated log of N interactions with its ground truth; rows in time order."""

    spec: SyntheticSpec
    items: Items
    users: Users
    user_token: list[str]
    item_token: list[str]
    user: Ints
    """[N] index of the row's user."""
    item: Ints
    """[N] index of the row's item."""
    time: Ints
    """[N] Unix time, ascending; rows of one user and time are a basket in the order of choice."""
    state: Floats
    """[N, D2] what the row's user was after (`choices.Choices`)."""
    noise: Floats
    """[weeks, I] what chance did to popularity (`market.open_market`)."""


def generate(spec: SyntheticSpec) -> SyntheticData:
    """Make the log of `spec`. Memory is O(interactions + days x items), never O(users x items)."""
    streams = np.random.default_rng(spec.seed).spawn(6)
    items = make_items(spec, streams[0], streams[5])
    users = make_users(spec, items, streams[1])
    offset, time = order_times(spec, users.arrival, streams[2])
    noise = weekly_noise(spec, streams[3])
    chosen = choose_items(spec, open_market(spec, items, noise), items, users, offset, time, streams[3])
    user = np.repeat(np.arange(spec.users), np.diff(offset))
    order = np.lexsort((user, time))
    return SyntheticData(
        spec=spec,
        items=items,
        users=users,
        user_token=_tokens("u", spec.users, streams[4]),
        item_token=_tokens("i", spec.items, streams[4]),
        user=user[order],
        item=chosen.item[order],
        time=time[order],
        state=chosen.state[order],
        noise=noise,
    )


def _tokens(prefix: str, count: int, rng: np.random.Generator) -> list[str]:
    """Tokens in random order, so that no token tells when its owner came."""
    width = len(str(count))
    return [f"{prefix}{number:0{width}d}" for number in 1 + rng.permutation(count)]
