"""The comparison of mml, its ablations and the baselines over several seeds."""
