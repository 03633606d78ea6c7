"""Which images an epoch has, one rule a file; the file's name is its `type`."""
