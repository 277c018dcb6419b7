"""`tocsin-collector`: one module per group of commands (options.py has what they share)."""
