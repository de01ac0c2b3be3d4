"""A head on the network: its key, its TLS endpoint, its announcements."""
