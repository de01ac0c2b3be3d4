"""What the command line asks of a head, and those who watch it."""
