#!/usr/bin/env bash
# bash script/run_meta.sh NAME [GPU] [--key=value ...]
set -euo pipefail
if [[ $# -lt 1 || $1 == -* ]]; then
    echo "usage: bash script/run_meta.sh NAME [GPU] [--key=value ...]" >&2
    exit 2
fi
name=$1
shift
root=$(CDPATH="" cd -- "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$root/script/gpu.sh"
source "$root/script/python.sh"
exec "$python" "$root/run_meta.py" --dataset "$name" ${gpu:+--gpu_id "$gpu"} "$@"
