"""A module that sets an environment variable when it is imported."""

from __future__ import annotations

import os

os.environ["SET_BY_AN_IMPORT"] = "yes"
