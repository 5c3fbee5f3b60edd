"""Run the Python blocks of the README and of the docs as tests."""

from __future__ import annotations

import os

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser


@pytest.fixture(scope="module")
def in_new_folder(tmp_path_factory: pytest.TempPathFactory) -> object:
    """Run a page's code in a folder of its own."""
    before = os.getcwd()
    os.chdir(tmp_path_factory.mktemp("docs"))
    yield
    os.chdir(before)


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["README.md", "docs/**/*.md"],
    fixtures=["in_new_folder"],
).pytest()
