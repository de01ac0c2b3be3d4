"""A worker's session with its head: what it holds and owes, and how it fails over."""
