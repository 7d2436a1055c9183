"""What is wrong or odd with a dataset, in sentences, before a run."""
