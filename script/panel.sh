#!/usr/bin/env bash
# bash script/panel.sh [--worlds ml-100k,NAME,NAME:1,...] [--data FOLDER] [--seeds N] [--baselines A,B] [--output FOLDER]
# mml and baselines on a panel of logs, frozen and online: a page for each, and one table of all.
set -euo pipefail
root=$(CDPATH="" cd -- "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$root/script/python.sh"
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
exec "$python" -m benchmarks.panel "$@"
