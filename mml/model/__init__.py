"""Models: the encoder, the learners, the item embedding generator, the fusion layer."""
