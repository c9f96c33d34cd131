"""Graphs of artifacts: compiled, planned, computed here or submitted to an engine.

Knows configs, their dependencies and the seam of engines. Must not know a particular engine, or
run `_create` other than through an attempt.
"""
