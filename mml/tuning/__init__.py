"""The search for good settings, judged on the validation users alone."""
