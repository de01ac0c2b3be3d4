"""The project's files on the head, as a release and in pieces."""
