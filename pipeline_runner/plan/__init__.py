"""Who runs what, and what to start and stop: facts in, decisions out."""
