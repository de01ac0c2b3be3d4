"""A declarative pipeline runner: one TOML file, many processes."""

__version__ = "0.1.0"
