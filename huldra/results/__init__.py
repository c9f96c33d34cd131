"""Results that huldra stores: what `_create` returns, written by its type and read back.

Knows configs' documents and files, and nothing of attempts: it is called with a directory.
"""
