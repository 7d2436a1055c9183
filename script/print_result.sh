#!/usr/bin/env bash
# bash script/print_result.sh [--all] [dataset ...]
set -euo pipefail
root=$(CDPATH="" cd -- "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$root/script/python.sh"
exec "$python" -m mml.run.printing "$@"
