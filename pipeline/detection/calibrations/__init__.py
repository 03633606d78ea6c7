"""Corrections of trained scores, one a file; the file's name is its `type`."""
