"""The recovery shapes: catalogue (data), the tests by family, the defects that turn them red, and the command line."""
