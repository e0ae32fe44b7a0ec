"""Checks of this repository, and the tools that write files from the table of options."""
