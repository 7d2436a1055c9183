"""Train and evaluate mml on a dataset, called by script/run_meta.sh.

python run_meta.py --dataset ml-100k [--config_files "a.yaml b.yaml"] [--gpu_id 0] [--key=value ...]
torchrun --nproc_per_node=2 run_meta.py --dataset ml-100k ...
"""

from __future__ import annotations

import sys

from mml.cli.train import leave, main

if __name__ == "__main__":
    leave(main(sys.argv[1:]))
