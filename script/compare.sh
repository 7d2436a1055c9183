#!/usr/bin/env bash
# bash script/compare.sh NAME [GPU] [--dry-run] [--seeds N] [--trials N] [--methods A,B | --all] [--key=value ...]
set -euo pipefail
if [[ $# -lt 1 || $1 == -* ]]; then
    echo "usage: bash script/compare.sh NAME [GPU] [--dry-run] [--seeds N] [--trials N] [--methods A,B | --all]" \
        "[--key=value ...]; python -m mml compare --help says more" >&2
    exit 2
fi
name=$1
shift
root=$(CDPATH="" cd -- "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$root/script/gpu.sh"
source "$root/script/python.sh"
exec "$python" -m mml.comparison --dataset "$name" ${gpu:+--gpu_id "$gpu"} "$@"
