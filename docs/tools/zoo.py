"""Make pages of the texts in `zoo/`, with their figures."""

import pathlib
import re

from mkdocs.plugins import event_priority
from mkdocs.structure.files import File

ZOO = pathlib.Path(__file__).parents[2] / "zoo"
ENDINGS = {".md", ".jpg", ".png"}


@event_priority(100)
def on_files(files, config):
    """Add `README.md` as the index, and the reports."""
    for path in sorted(ZOO.rglob("*")):
        if path.suffix in ENDINGS:
            name = path.relative_to(ZOO).as_posix()
            name = re.sub(r"^README\.md$", "index.md", name)
            content = path.read_bytes()
            if path.suffix == ".md":
                content = content.decode("utf-8")
            files.append(File.generated(config, f"zoo/{name}", content=content))
    return files


def on_page_markdown(markdown, page, config, files):
    """Let links of a checkout lead to pages: `docs/` is the site's root."""
    here = page.file.src_uri
    if here.startswith("zoo/"):
        markdown = re.sub(r"\]\(((?:\.\./)+)docs/", r"](\1", markdown)
        return re.sub(r"\]\(((?:\.\./)?)README\.md", r"](\1index.md", markdown)
    markdown = re.sub(r"\]\(((?:\.\./)*)\.\./zoo/", r"](\1zoo/", markdown)
    return markdown.replace("zoo/README.md)", "zoo/index.md)").replace(
        "zoo/README.md#", "zoo/index.md#"
    )
