"""Evaluation: fair ranks over the full catalogue, RecBole's metrics, groups of cases, the report."""
