"""Fail a build whose pages would load anything from another server."""

import re

from mkdocs.exceptions import PluginError

LOADS = re.compile(
    r"<(?:script|img|iframe|source|video|embed|object)\b[^>]*"
    r"""\b(?:src|data)=["']?(?:https?:)?//[^>]*>"""
    r"""|<link\b[^>]*\bhref=["']?(?:https?:)?//[^>]*>"""
    r"""|@import[^;]*//[^;]*;|url\(["']?(?:https?:)?//[^)]*\)"""
)


def on_post_page(output, page, config):
    found = LOADS.search(output)
    if found:
        raise PluginError(
            f"{page.file.src_uri} loads from elsewhere: {found[0]}"
        )
    return output
