"""How a host finds its head: the first time, and again."""
