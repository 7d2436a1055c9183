"""The causal encoder's passes, forward and backward, written out by hand."""
