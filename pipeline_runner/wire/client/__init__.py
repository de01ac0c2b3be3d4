"""The side that connects: workers, agents and the command line, blocking."""
