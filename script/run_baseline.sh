#!/usr/bin/env bash
# bash script/run_baseline.sh NAME MODEL [GPU] [--key=value ...]
set -euo pipefail
if [[ $# -lt 2 || $1 == -* || $2 == -* ]]; then
    echo "usage: bash script/run_baseline.sh NAME MODEL [GPU] [--key=value ...]" >&2
    exit 2
fi
name=$1
model=$2
shift 2
gpu=0
if [[ $# -gt 0 && $1 != --* ]]; then
    gpu=$1
    shift
fi
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$root/script/python.sh"
exec "$python" -m mml.baselines "$model" --dataset "$name" --gpu_id "$gpu" "$@"
