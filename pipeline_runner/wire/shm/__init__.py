"""Memory that a head shares with the workers of its host."""
