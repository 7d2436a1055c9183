"""Train and evaluate mml on a dataset, called by script/run_meta.sh.

python run_meta.py --dataset ml-100k [--config_files "a.yaml b.yaml"] [--gpu_id 0] [--key=value ...]
torchrun --nproc_per_node=2 run_meta.py --dataset ml-100k ...
"""

from __future__ import annotations

import sys

from mml.cli.train import main

if __name__ == "__main__":
    from mml.cli.train import leave

    try:
        code = main(sys.argv[1:])
    except KeyboardInterrupt:
        print("\nStopped. The finished stages are kept: start the same command again to go on.", file=sys.stderr)
        code = 130
    leave(code)
