"""Lets mkdocstrings read docstrings in Keras' style as Google's."""

import re
import textwrap

import griffe

HEADINGS = r"Call arguments|Input shape|Output shape"


class KerasDocstrings(griffe.Extension):
    """Rewrites each docstring before it is parsed."""

    def on_instance(self, *, obj, **kwargs):
        if obj.docstring and not obj.is_alias:
            # What a layer's call returns, not its constructor.
            own = HEADINGS + "|Returns" * obj.is_class
            obj.docstring.value = google_style(obj.docstring.value, own)


def google_style(text, headings):
    """Indents examples as a section, and makes Keras' own sections text."""
    text = re.sub(
        rf"^({headings}):\n((?: +.*\n?|\n)+)",
        lambda found: f"**{found[1]}**\n\n{textwrap.dedent(found[2])}",
        text,
        flags=re.M,
    )
    before, example, after = text.partition("\nExample:\n")
    if not example:
        return text
    return f"{before}\nExamples:\n{textwrap.indent(after.strip(), '    ')}\n"
