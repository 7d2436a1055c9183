#!/usr/bin/env bash
# bash script/reproduce.sh --data FOLDER [--sets Beauty,Toys_and_Games] [--only mml,recbole] [--output FILE.md] [--key=value ...]
# S3-Rec's table (leave-one-out, full ranking) beside mml's ID learner and RecBole's SASRec, on files of its layout.
set -euo pipefail
root=$(CDPATH="" cd -- "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$root/script/python.sh"
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
exec "$python" -m benchmarks.reproduce "$@"
