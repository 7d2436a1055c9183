"""What a trained recommender learns from interactions that came since (`Recommender.update`)."""
