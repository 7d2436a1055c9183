"""From a shop's tables to a dataset: CSV, TSV, parquet or a DataFrame in, RecBole's atomic files and a config out."""

from mml.importing.build import Imported, import_log

__all__ = ["Imported", "import_log"]
