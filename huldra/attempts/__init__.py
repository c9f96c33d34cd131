"""One attempt at an artifact: claiming, waiting, running `_create`, recording the end.

Knows one artifact at a time. Must not know graphs or submissions; an engine is asked only whether
the owner of a claim is alive.
"""
