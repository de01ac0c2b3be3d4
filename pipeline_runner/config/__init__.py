"""From the text of a file to a pipeline, or to every problem it has."""
