"""What is wrong in the panel's file: the words are every configuration file's."""

from protocols.toml_file.problem import ABSENT, ConfigError, Phrase, Problem, Report, show

__all__ = ["ABSENT", "ConfigError", "Phrase", "Problem", "Report", "show"]
