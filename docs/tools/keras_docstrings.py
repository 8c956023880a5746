"""Let mkdocstrings read docstrings in Keras' style as in Google's."""

import re
import textwrap

import griffe

# In Google's style, the text before a colon in `Returns` is a type.
AS_TEXT = re.compile(
    r"^(Call arguments|Input shape|Output shape|Returns):\n((?: +.*\n?|\n)+)",
    re.MULTILINE,
)


class KerasDocstrings(griffe.Extension):
    """Rewrite each docstring before it is parsed."""

    def on_instance(self, *, obj, **kwargs):
        if obj.docstring and not obj.is_alias:
            obj.docstring.value = google_style(obj.docstring.value)


def google_style(text):
    """Indent examples as a section, and turn some sections into text."""
    text = AS_TEXT.sub(
        lambda found: f"**{found[1]}:**\n\n{textwrap.dedent(found[2])}", text
    )
    before, example, after = text.partition("\nExample:\n")
    if not example:
        return text
    return f"{before}\nExamples:\n{textwrap.indent(after.strip(), '    ')}\n"
