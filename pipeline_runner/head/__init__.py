"""The process of ``runner up``: queues, desired state, and the answers to the command line."""
