"""The meta-learning engine. It knows nothing of recommendation: losses of stacked tasks in, gradients out."""
