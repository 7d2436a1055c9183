"""The parts of the report; each is a function of the run's evidence."""
