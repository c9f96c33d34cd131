"""Graphs of artifacts: compiled, planned, computed here or submitted to an engine."""
