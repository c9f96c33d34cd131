"""One artifact on disk: its files, its claims, its state, and who may write it.

Knows file systems and processes. Must not know an engine, a graph, or more of a config than its
hash.
"""
