"""The learners: one recommender per modality, and what adapts them to a user."""
