"""The README that stands in a generated folder."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime

from mml.synthetic.spec import PRESETS, STAND_IN, SyntheticSpec

_HEAD = """# {name}: synthetic data

**Nothing here is real.** Users, items, texts and pictures were drawn by a random number generator. It stands in for
data that cannot be shared: it has their form, not their content, so no number measured on it says anything about them.

Made by `python -m mml.synthetic {name}{options}` (generator version {version}).
Tools read `synthetic.json`; do not edit it. Making the data again replaces this folder.

| | |
|---|---|
| users | {users}, of them {new_users} with their first order after the split time |
| items | {items}, of them {late_items} launched after the split time |
| interactions | {interactions} |
| share of the new users' orders that are for such items | {new_users_share_on_late_items:.0%} |
| seed | {seed} |
| time | {start} to {end}, split time {split_time} (about {split}) |

## Files
- `{name}.inter`: {columns}, rows in time order
{settings}{content}- `ground_truth.npz`: what is true of every item and user \
(item_id, text_half, picture_half, launch_time;
  user_id, text_weight, arrival_time). For checking only; no model may read it.
- `synthetic.json`: the marker, with every setting
"""

_CONTENT = """- `{name}.item`: title and category{launch}
- `item_text.csv`: title, category and description; {missing_text:.0%} of the items have no row, a further \
{missing_description:.0%} no description
- `images/<item_id>.png`: {picture_size}x{picture_size} pixels; {missing_picture:.0%} of the items have none
- `txt_emb.pth`, `img_emb.pth`: features made from just these texts and pictures, for the items that have them
"""

_TRUTH = """
## Ground truth
- An item's taste vector has two independent halves of six numbers. The words of its text are drawn by the first
  half only; its picture shows the second half only (background colour, orientation of the stripes, colour of the
  blob; position, phase and grain are chance). So text and pictures complete each other.
- A user has {interests} long-term interests, one active at a time (changing with chance {switch} per order), which move
  a little towards what is ordered. Some users go more by what text tells, others more by pictures.
- The next item depends on the active interest and on the last item: every group of items has a group that usually
  follows it. Popularity is long-tailed, changes by the week, and is higher just after a launch. With chance {repeat} an
  order repeats an earlier one of the same user.
"""

_CITY = """- Users and items arrive over time. New users have 2 to 30 orders, old ones up to 120.
"""

_SHOP = """- An order repeats an earlier one only if the item is a staple, as in {staple_share:.0%} of the categories.
- A launch multiplies an item's weight by 1 + a, a falling to 1 / e in {launch_days:g} days. At first a is log-normal,
  {launch_boost:g} in the mean, with standard deviation {launch_spread:g} of its logarithm; content tells
  {launch_told:.0%} of that variance.
- A category's weight goes from exp(-{season:g}) to exp({season:g}) and back in a year.
- {one_time:.0%} of the users come once, the others {median:g} times in the median, about every {days:g} days, until the
  log ends. A visit is a basket of up to {basket_most} different items at the same second, {basket:g} in the mean.
- What the world itself gave each item: `python -m mml.synthetic.oracle --dataset {name}`.
"""


def readme(spec: SyntheticSpec, facts: Mapping[str, object]) -> str:
    """Return the README of a spec's data, for the facts of `folder.describe`."""
    shop = spec.visits
    options = f" --preset {STAND_IN}" if shop and spec.name not in PRESETS else ""
    options += f" --users {spec.users} --items {spec.items} --seed {spec.seed}"
    options += "" if facts["with_time"] else " --no-time"
    options += "" if facts["features"] else " --no-features"
    values = {**facts, **asdict(spec.behaviour), **(asdict(shop) if shop else {})}
    text = _HEAD.format(
        **values,
        options=options,
        start=_date(spec.start),
        end=_date(spec.end),
        split=_date(spec.split_time),
        columns="user_id, item_id" + (", timestamp" if facts["with_time"] else " (no time column)"),
        settings="- `{name}.yaml`: the configuration\n".format(**values) if shop else "",
        content=_CONTENT.format(**values, launch=", launch time" if shop else "") if facts["features"] else "",
    )
    return text + (_TRUTH + (_SHOP if shop else _CITY)).format(**values)


def _date(time: int) -> str:
    return datetime.fromtimestamp(time, tz=UTC).strftime("%Y-%m-%d")
