"""What a config is: fields, values, their hash, and their documents. Knows no disk."""
