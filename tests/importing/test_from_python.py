"""mml.fit over tables: its messages name Python's arguments, and what an import leaves out is said."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import mml
from mml.errors import InputError
from mml.importing.build import import_log
from mml.importing.command import parser
from mml.importing.from_python import COLUMNS, import_tables, in_python

LOG = pd.DataFrame({"who": ["a", "a", "b", "b", None], "what": ["x", "y", "x", "y", "x"], "when": [1, 2, 3, 4, 5]})
READ = {"user": "who", "item": "what", "time": "when"}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"user": "nobody"}, r'columns\["user"\].*nobody'),
        ({"user": "who"}, r'columns\["item"\]'),
        ({**READ, "item": "who"}, r'columns\["user"\], columns\["item"\] and columns\["time"\] must be three'),
        ({**READ, "time_format": "%q"}, r'columns\["time_format"\]'),
        ({**READ, "timezone": "Mars"}, r'columns\["timezone"\] Mars'),
        ({**READ, "text": "title"}, r'columns\["text"\].* by items'),
        ({**READ, "users": "who"}, r"columns: unknown key 'users'.*Did you mean 'user'"),
        ({**READ, "time": 3}, r'columns\["time"\] is 3; it must be a text'),
        ({**READ, "text": 3}, r'columns\["text"\] is 3; it must be a name, or a list of names'),
        (["who", "what"], r"columns is \['who', 'what'\]; it must be a mapping"),
    ],
)
def test_mistakes_name_arguments(tmp_path: Path, columns: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        mml.fit(LOG, columns=columns, data_path=tmp_path)
    assert "--" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_missing_pictures_and_bad_names(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^images .*no such folder"):
        mml.fit(LOG, columns=READ, images=tmp_path / "none", data_path=tmp_path)
    with pytest.raises(InputError, match=r"^name a/b:"):
        mml.fit(LOG, columns=READ, name="a/b", data_path=tmp_path)


def test_a_mistake_in_settings_leaves_an_older_dataset(tmp_path: Path) -> None:
    """It was replaced by what was not trained on, overwritten or made here."""
    import_log(LOG, name="shop", data_path=tmp_path, user="who", item="what", time="when")
    before = {file.name: file.read_bytes() for file in (tmp_path / "shop").iterdir()}
    wrong: list[dict[str, Any]] = [{"hiden_size": 8}, {"topk": [0]}, {"learners.id.pretrain_epochs": -1}]
    for settings in wrong:
        with pytest.raises(InputError, match="config_dict: "):
            mml.fit(LOG[:2], columns=READ, data_path=tmp_path, overwrite=True, **settings)
    assert {file.name: file.read_bytes() for file in (tmp_path / "shop").iterdir()} == before


def test_what_acts_on_tables_alone_is_refused_for_a_dataset(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'shop' names a dataset.*; images, columns would act on a table"):
        mml.fit("shop", columns=READ, images=tmp_path, data_path=tmp_path)


def test_a_dataset_that_fit_did_not_make_is_left_alone(tmp_path: Path) -> None:
    import_log(LOG, name="shop", data_path=tmp_path, user="who", item="what", time="when")
    before = (tmp_path / "shop" / "shop.yaml").read_bytes()
    with pytest.raises(InputError, match=r"shop exists and is left alone; take another name, or overwrite to replace"):
        mml.fit(LOG.iloc[:2], columns=READ, data_path=tmp_path)
    assert (tmp_path / "shop" / "shop.yaml").read_bytes() == before
    import_tables(LOG, "shop", None, None, READ, tmp_path, overwrite=True)
    assert (tmp_path / "shop" / "shop.yaml").read_bytes() != before
    import_tables(LOG.iloc[:3], "shop", None, None, READ, tmp_path)  # its own
    assert len((tmp_path / "shop" / "shop.inter").read_text(encoding="utf-8").splitlines()) == 4


def test_a_text_may_be_one_name(tmp_path: Path) -> None:
    items = pd.DataFrame({"what": ["x", "y"], "called": ["tea pot", "tea cup"], "kind": ["pot", "cup"]})
    import_tables(LOG, "shop", items, None, {**READ, "text": "called", "tokens": ["kind"]}, tmp_path)
    assert (tmp_path / "shop" / "shop.item").read_text(encoding="utf-8").splitlines()[0].split("\t")[1:] == [
        "called:token_seq",
        "kind:token",
    ]


def test_what_an_import_says_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="mml"):
        import_tables(LOG.drop(columns="when"), "shop", None, None, {"user": "who", "item": "what"}, tmp_path)
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [bool(re.match("Left out: rows that .*: 1 ", one)) for one in warned] == [False, False, True]
    assert warned[1] == "1 of 5 (20 %) rows are left out, for the reasons below."
    assert warned[0].endswith('Is there a column? Name it by columns["time"].')
    assert "Understood: 2 users, 2 items, 4 interactions." in caplog.messages


def test_a_name_that_mml_has_settings_for_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    import_tables(LOG, "ml-100k", None, None, READ, tmp_path)
    (said,) = (one for one in caplog.messages if "settings for a dataset of that name" in one)
    assert said.endswith(
        "ml-100k.yaml has settings for a dataset of that name, which are read with it: take another name "
        "if they are not meant."
    )


def test_every_option_has_its_argument() -> None:
    """But `--overwrite`, which fit always does, all options of the command can be given in Python."""
    for action in parser()._actions:
        for option in action.option_strings:
            if option.startswith("--") and option not in ("--help", "--overwrite"):
                assert "--" not in in_python(option), option
    assert {"user", "item", "time", "item_id"} <= set(COLUMNS)
