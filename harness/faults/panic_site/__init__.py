"""A folder for the path of a Python process: what it holds runs in there before the program does."""
