"""The command line: one sub-command per job."""

import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mml.errors import InputError
from mml.features.files import read_features, write_features
from prepare_multimodal_information_file.check import catalogue, check
from prepare_multimodal_information_file.encode import config_lines, encode_pictures, encode_texts

ENCODERS = """encoders:
  tfidf            texts: TF-IDF of words and word pairs, truncated SVD; no download
  descriptor       pictures: colour and gradient descriptors, truncated SVD; no download
  timm:resnet18    pictures: any model of timm, or timm:FOLDER
  NAME or FOLDER   any text or image model of the Hugging Face hub, such as bert-base-uncased,
                   sentence-transformers/all-MiniLM-L6-v2, openai/clip-vit-base-patch32,
                   facebook/dinov2-base, microsoft/resnet-50

All but the first two need: pip install -e ".[encoders]" -c requirements.lock
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code, 2 for a mistake in the input."""
    args = build_parser().parse_args(arguments)
    try:
        args.run(args)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on where it stopped.", file=sys.stderr)
        return 130
    return 0


def build_parser() -> ArgumentParser:
    """The arguments of all commands."""
    parser = ArgumentParser(
        prog="python -m prepare_multimodal_information_file",
        description="From raw texts and pictures to the feature files that `item_feat_emb` names.",
        epilog=ENCODERS,
        formatter_class=RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="text|image|convert|check")
    _add_text(commands)
    _add_image(commands)
    _add_convert(commands)
    _add_check(commands)
    return parser


def _add_text(commands: Any) -> None:  # argparse does not export the type
    text = _command(commands, "text", encode_texts, "encode columns of a table")
    text.add_argument("--input", type=Path, required=True, help="table with a header: .csv, or tabs (.tsv, .item)")
    text.add_argument("--text-cols", required=True, metavar="COL,COL", help="columns to join, the telling ones first")
    _add_encoding(text, encoder="tfidf", modality="txt")
    text.add_argument("--ngrams", type=int, help="tfidf: longest run of words that is counted (2)")
    text.add_argument("--pooling", help="models: auto, mean or cls (auto: the model's own, else mean)")
    text.add_argument("--max-length", type=int, help="models: tokens read of a text (512, or the model's limit)")


def _add_image(commands: Any) -> None:
    image = _command(commands, "image", encode_pictures, "encode pictures")
    image.add_argument(
        "--input", type=Path, required=True, help="folder of pictures named by item id, or with --path-col a table"
    )
    image.add_argument("--path-col", help="the table's column of paths, which start from the table's folder")
    _add_encoding(image, encoder="descriptor", modality="img")


def _add_encoding(parser: ArgumentParser, encoder: str, modality: str) -> None:
    parser.add_argument("--output", type=Path, required=True, help="feature file: .pth, .npz, or atomic text")
    parser.add_argument("--encoder", default=encoder, help=f"name of the encoder ({encoder}); the list is in --help")
    parser.add_argument("--id-col", default="item_id", help="the table's column of item ids (item_id)")
    parser.add_argument("--modality", default=modality, help=f"name of the learner in the config ({modality})")
    parser.add_argument("--dim", type=int, help="tfidf and descriptor: length of the vectors (128)")
    parser.add_argument(
        "--fit-on", type=Path, metavar="FILE", help="tfidf and descriptor: learn from these items only, one id a line"
    )
    parser.add_argument("--batch-size", type=int, help="models: items in one forward pass (64)")
    parser.add_argument("--device", help="models: auto, cpu, cuda, cuda:1 ... (auto)")


def _add_convert(commands: Any) -> None:
    parser = _command(commands, "convert", convert, "rewrite a feature file in another form")
    parser.add_argument("--input", type=Path, required=True, help="feature file of any form")
    parser.add_argument("--output", type=Path, required=True, help=".pth, .npz, or anything else for atomic text")
    parser.add_argument("--dataset", type=Path, help="folder of the dataset; an aligned tensor needs it for its ids")
    parser.add_argument("--modality", default="txt", help="name of the learner in the config (txt)")


def _add_check(commands: Any) -> None:
    parser = _command(commands, "check", check, "report whether a feature file fits a dataset and makes sense")
    parser.add_argument("--input", type=Path, required=True, help="feature file of any form")
    parser.add_argument("--dataset", type=Path, required=True, help="folder of the dataset, NAME, with NAME.inter")
    parser.add_argument("--titles", type=Path, help="table of titles (the dataset's .item)")
    parser.add_argument(
        "--title-cols", metavar="COL,COL", help="its columns to show (title, movie_title, name or item_name)"
    )
    parser.add_argument("--id-col", default="item_id", help="its column of item ids (item_id)")
    parser.add_argument("--items", metavar="ID,ID", help="items whose neighbours to show (the most popular)")
    parser.add_argument("--neighbours", type=int, default=4, help="neighbours to show (4)")


def _command(commands: Any, name: str, run: Callable[[Namespace], None], help_text: str) -> ArgumentParser:
    parser: ArgumentParser = commands.add_parser(
        name, help=help_text, description=help_text, epilog=ENCODERS, formatter_class=RawDescriptionHelpFormatter
    )
    parser.set_defaults(run=run)
    return parser


def convert(args: Namespace) -> None:
    """`convert`: one form of feature file to another."""
    table = read_features(args.input, catalogue(args.dataset) if args.dataset else None)
    write_features(args.output, table, field=f"{args.modality}_emb")
    print(f"Wrote {args.output}: {len(table)} items, {table.dim} numbers each.")
    print(f"Use it by these lines of the config:\n\n{config_lines(args.modality, args.output)}")
