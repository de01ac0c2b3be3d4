"""Files: from the project directory of the head to every host."""
