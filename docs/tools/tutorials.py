"""Make pages of the notebooks in `tutorials/`, with the outputs they hold.

They are converted, not run. The HTML in a notebook is an animation of
Matplotlib, whose player would be loaded from the web. Its frames get a slider
instead.
"""

import base64
import json
import pathlib
import re

from mkdocs.plugins import event_priority
from mkdocs.structure.files import File

TUTORIALS = pathlib.Path(__file__).parents[2] / "tutorials"
FRAME = re.compile(r'frames\[\d+\] = "data:image/jpeg;base64,([^"]+)"')
SLIDER = """<figure class="frames" markdown="0">
<img alt="{alt}" src="{start}{last}.jpg">
<input type="range" min="0" max="{last}" value="{last}" aria-label="{alt}"
  oninput="this.previousElementSibling.src = '{start}' + this.value + '.jpg'">
</figure>"""


@event_priority(100)
def on_files(files, config):
    """Add pages, their pictures, and the notebooks themselves."""

    def add(name, content):
        files.append(
            File.generated(config, f"tutorials/{name}", content=content)
        )

    add("index.md", _linked((TUTORIALS / "README.md").read_text("utf-8")))
    for path in sorted(TUTORIALS.glob("*.ipynb")):
        text, pictures = page(path)
        add(f"{path.stem}.md", text)
        add(path.name, path.read_bytes())
        for name, content in pictures.items():
            add(f"{path.stem}/{name}", content)
    return files


def on_page_markdown(markdown, page, config, files):
    """Let links to a notebook lead to its page."""
    return re.sub(
        r"\]\(((?:\.\./)*)\.\./tutorials/(\w+)\.(?:ipynb|md)\)",
        lambda link: (
            "]("
            + link[1]
            + "tutorials/"
            + ("index" if link[2] == "README" else link[2])
            + ".md)"
        ),
        markdown,
    )


def page(path):
    """Return the Markdown of a notebook, and the JPEG files that it shows."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    text, pictures, heading = [], {}, ""
    for number, cell in enumerate(cells):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            (heading,) = re.findall(r"^#+ (.+)", source, re.M)[-1:] or [heading]
            text.append(_linked(source))
            continue
        text.append(_fenced("python", source))
        for output in cell["outputs"]:
            data = output.get("data", {})
            if "text/html" in data:
                frames = FRAME.findall("".join(data["text/html"]))
                for frame, jpeg in enumerate(frames):
                    jpeg = jpeg.replace("\\\n", "")
                    pictures[f"{number}_{frame}.jpg"] = _decoded(jpeg)
                start = f"{path.stem}/{number}_"
                last = len(frames) - 1
                text.append(SLIDER.format(alt=heading, start=start, last=last))
            elif "image/jpeg" in data:
                name = f"{number}.jpg"
                pictures[name] = _decoded(data["image/jpeg"])
                text.append(f"![{heading}]({path.stem}/{name})")
            else:
                said = output.get("text") or data["text/plain"]
                text.append(_fenced("text", "".join(said)))
    text.insert(1, f"[This page as a notebook]({path.name}){{ download }}")
    return "\n\n".join(text), pictures


def _linked(text):
    """Let links to notebooks lead to their pages."""
    return re.sub(r"\]\((\w+)\.ipynb\)", r"](\1.md)", text)


def _fenced(language, text):
    return f"````{language}\n{text.rstrip()}\n````"


def _decoded(data):
    return base64.b64decode("".join(data))
