"""mml: multimodal meta-learning for cold-start sequential recommendation, on RecBole."""

__version__ = "0.1.0"
