"""The detail of one artifact: a header and one module for each tab."""
