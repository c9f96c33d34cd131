"""Where an artifact comes from: code, git, packages, environment, command line.

Knows how to describe this process. Must not fail a computation: what cannot be found out is
recorded as such.
"""
