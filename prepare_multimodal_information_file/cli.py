"""The command line: one sub-command per job."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

from mml.command_line import CommandParser
from mml.features.files import read_features, refuse_to_write, write_features
from mml.features.media import MEDIA, FolderMedium, Medium, TableMedium, built_in_encoders
from mml.features.raw import expanded
from mml.files.faults import in_one_line
from mml.settings import keys_of
from prepare_multimodal_information_file.check import catalogue, check
from prepare_multimodal_information_file.encode import config_lines, encode_folder, encode_table

MODELS = """  timm:resnet18    pictures: any model of timm, or timm:FOLDER
  NAME or FOLDER   any text or image model of the Hugging Face hub, such as bert-base-uncased, \
sentence-transformers/all-MiniLM-L6-v2, openai/clip-vit-base-patch32, facebook/dinov2-base, microsoft/resnet-50

Models need further packages; a command that lacks one says how to install it.
"""


def encoders() -> str:
    """What --encoder may name."""
    lines = [f"  {name:<15}  {kind}; no download" for name, kind in built_in_encoders().items()]
    return "\n".join(["encoders:", *lines, MODELS])


@in_one_line
def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code, 2 for a mistake in the input."""
    args = build_parser().parse_args(arguments)
    try:
        args.run(args)
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on where it stopped.", file=sys.stderr)
        return 130
    return 0


def build_parser() -> ArgumentParser:
    """The arguments of all commands."""
    parser = CommandParser(
        prog="mml features",
        description="From raw texts, pictures and columns to the feature files that `item_feat_emb` names.",
        epilog=encoders(),
    )
    names = "|".join([*MEDIA.names(), "convert", "check"])
    commands = parser.add_subparsers(required=True, metavar=names)
    for medium in MEDIA:
        _add_medium(commands, medium)
    _add_convert(commands)
    _add_check(commands)
    return parser


def _add_medium(commands: Any, medium: Medium[Any]) -> None:  # argparse does not export the type
    if isinstance(medium, TableMedium):
        parser = _command(
            commands, medium.name, partial(encode_table, medium=medium), f"encode {medium.kind} of a table"
        )
        help_text = "table with a header: .csv, or tabs (.tsv, .item)"
        parser.add_argument("--input", type=expanded, required=True, help=help_text)
        parser.add_argument(
            *medium.flags, dest="columns", required=True, metavar="COL,COL", help="columns, the telling ones first"
        )
        if "separator" in keys_of(medium.settings):
            parser.add_argument("--separator", help=keys_of(medium.settings)["separator"].meaning)
    else:
        folder = cast("FolderMedium", medium)
        parser = _command(commands, medium.name, partial(encode_folder, medium=folder), f"encode {medium.kind}")
        help_text = f"folder of {medium.kind} named by item id, or with --path-col a table"
        parser.add_argument("--input", type=expanded, required=True, help=help_text)
        parser.add_argument("--path-col", help="the table's column of paths, which start from the table's folder")
    _add_encoding(parser, medium)


def _add_encoding(parser: ArgumentParser, medium: Medium[Any]) -> None:
    parser.add_argument("--output", type=expanded, required=True, help="feature file: .pth, .npz, or atomic text")
    encoder, modality = medium.default_encoder, medium.modality
    parser.add_argument("--encoder", default=encoder, help=f"name of the encoder ({encoder}); the list is in --help")
    parser.add_argument("--id-col", default="item_id", help="the table's column of item ids (item_id)")
    parser.add_argument("--modality", default=modality, help=f"name of the learner in the config ({modality})")
    parser.add_argument(
        "--fit-on", type=expanded, metavar="FILE", help="built-in encoders: learn from these items only, one id a line"
    )
    for name, key in medium.options.items():
        kind = int if int in key.types else str
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, help=key.meaning)


def _add_convert(commands: Any) -> None:
    parser = _command(commands, "convert", convert, "rewrite a feature file in another form")
    parser.add_argument("--input", type=expanded, required=True, help="feature file of any form")
    parser.add_argument("--output", type=expanded, required=True, help=".pth, .npz, or anything else for atomic text")
    parser.add_argument(
        "--dataset", type=expanded, help="folder of the dataset; an aligned tensor needs it for its ids"
    )
    parser.add_argument("--modality", default="txt", help="name of the learner in the config (txt)")


def _add_check(commands: Any) -> None:
    parser = _command(commands, "check", check, "report whether a feature file fits a dataset and makes sense")
    parser.add_argument("--input", type=expanded, required=True, help="feature file of any form")
    parser.add_argument("--dataset", type=expanded, required=True, help="folder of the dataset, NAME, with NAME.inter")
    parser.add_argument("--titles", type=expanded, help="table of titles (the dataset's .item)")
    parser.add_argument(
        "--title-cols", metavar="COL,COL", help="its columns to show (title, movie_title, name or item_name)"
    )
    parser.add_argument("--id-col", default="item_id", help="its column of item ids (item_id)")
    parser.add_argument("--items", metavar="ID,ID", help="items whose neighbours to show (the most popular)")
    parser.add_argument("--neighbours", type=int, default=4, help="neighbours to show (4)")


def _command(commands: Any, name: str, run: Callable[[Namespace], None], help_text: str) -> ArgumentParser:
    parser: ArgumentParser = commands.add_parser(name, help=help_text, description=help_text, epilog=encoders())
    parser.set_defaults(run=run)
    return parser


def convert(args: Namespace) -> None:
    """`convert`: one form of feature file to another."""
    refuse_to_write(args.output)
    table = read_features(args.input, catalogue(args.dataset) if args.dataset else None)
    write_features(args.output, table, field=f"{args.modality}_emb")
    print(f"Wrote {args.output}: {len(table)} items, {table.dim} numbers each.")
    print(f"Use it by these lines of the config:\n\n{config_lines(args.modality, args.output)}")
