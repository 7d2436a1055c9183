"""Tests of a trained run that is asked."""
