"""`python -m mml.data.synthetic`, as it was called before; the writer of synthetic data is mml.synthetic."""

import runpy

if __name__ == "__main__":
    runpy.run_module("mml.synthetic", run_name="__main__")
