"""What should run, and how that changes while it does."""
