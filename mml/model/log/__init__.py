"""Models of the log: counters, neighbours and linear models that are fitted in a second, without gradients."""
