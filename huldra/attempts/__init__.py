"""One attempt at an artifact: claiming, waiting, running `_create`, recording the end."""
