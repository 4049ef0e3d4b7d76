"""One trainer for all domains."""
