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
root=$(CDPATH="" cd -- "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$root/script/gpu.sh"
source "$root/script/python.sh"
exec "$python" -m mml.baselines "$model" --dataset "$name" ${gpu:+--gpu_id "$gpu"} "$@"
