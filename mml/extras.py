"""Packages that some parts need, by extra, and the line that installs them.

setup.py reads this file, so it imports nothing. The line names the packages, not `mml[...]`, as the name mml on PyPI is
another project's.
"""

IMAGES = ["pillow>=10.0.1", "scikit-image>=0.22"]

EXTRAS = {
    # loggers of learning curves, each called as its extra; TensorBoard is there, for RecBole
    "tensorboard": ["tensorboard>=2.17"],
    "wandb": ["wandb>=0.17"],
    "mlflow": ["mlflow>=2.14"],
    # pictures: the descriptor encoder and the synthetic data writer
    "images": IMAGES,
    "encoders": ["transformers>=4.41", "sentence-transformers>=3.0", "timm>=1.0", *IMAGES],
    "plots": ["matplotlib>=3.8"],
    "parquet": ["pyarrow>=14"],
    "serve": ["fastapi>=0.115", "pydantic>=2", "starlette>=0.40", "uvicorn>=0.30", "prometheus-client>=0.20"],
    "tune": ["optuna>=4.0,<5"],
}


def install_line(extra: str) -> str:
    """What is typed in a shell to install an extra's packages."""
    return " ".join(["pip install", *(f'"{package}"' for package in EXTRAS[extra])])
