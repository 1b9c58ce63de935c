"""The daemon's settings: `Config.load` for a real start, `Config.default` for tests.

Owns the public names of this package. Must never know who uses which setting.
"""

from laybyd.config.model import Config

__all__ = ["Config"]
