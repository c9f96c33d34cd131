"""Runnable examples: `python -m examples` lists them, `python -m examples caching` runs one.

The classes live in modules that can be imported, never in `__main__`: an artifact's folder is
named after its class's module.
"""
