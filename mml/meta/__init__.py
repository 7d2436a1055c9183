"""The meta-learning engine. It is independent of recommendation: losses of stacked tasks in, gradients out."""
