#!/usr/bin/env bash
# bash script/panel.sh [--worlds ml-100k,NAME,...] [--data FOLDER] [--seeds N] [--baselines A,B] [--output FILE.md]
# mml and baselines on a panel of logs: one table for each, frozen and online.
set -euo pipefail
root=$(CDPATH="" cd -- "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$root/script/python.sh"
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
exec "$python" -m benchmarks.panel "$@"
