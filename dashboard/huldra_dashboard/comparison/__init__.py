"""Artifacts side by side."""
