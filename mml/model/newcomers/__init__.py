"""Learners of the present and of the log, chosen by rolling newcomers."""
