"""User code looked at from a safe distance: in an interpreter of its own."""
