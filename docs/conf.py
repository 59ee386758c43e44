"""Sphinx's configuration. The build needs no network: ``make docs``."""

from importlib.metadata import version as installed_version

project = "tomada"
author = "tomada contributors"
project_copyright = "2026, tomada contributors"
release = version = installed_version("tomada")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinxcontrib.mermaid",
]
exclude_patterns = ["_build"]

default_role = "py:obj"  # `name` in a docstring links to what it names

html_theme = "furo"
html_title = f"tomada {version}"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_fence_as_directive = ["mermaid"]  # ```mermaid draws here as it does where Markdown is read plain
myst_heading_anchors = 3
