"""The head's queue server: between the sockets, the broker and the store."""
