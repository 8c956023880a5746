"""Make pages of the texts in `zoo/`, with their figures."""

import pathlib
import re

from mkdocs.plugins import event_priority
from mkdocs.structure.files import File

ZOO = pathlib.Path(__file__).parents[2] / "zoo"
ENDINGS = {".md", ".jpg", ".png"}


@event_priority(100)
def on_files(files, config):
    """Add the guide, the reports and their figures; READMEs become indexes."""
    for path in sorted(ZOO.rglob("*")):
        if path.suffix in ENDINGS:
            name = path.relative_to(ZOO).as_posix()
            name = name.replace("README.md", "index.md")
            content = path.read_bytes()
            if path.suffix == ".md":
                content = content.decode("utf-8")
            files.append(File.generated(config, f"zoo/{name}", content=content))
    return files


def on_page_markdown(markdown, page, config, files):
    """Let links of a checkout lead to pages: `docs/` is the site's root."""
    if page.file.src_uri.startswith("zoo/"):
        markdown = re.sub(r"\]\(((?:\.\./)+)docs/", r"](\1", markdown)
        return re.sub(r"(\]\([\w./]*)README\.md", r"\1index.md", markdown)
    markdown = re.sub(r"\]\(((?:\.\./)*)\.\./zoo/", r"](\1zoo/", markdown)
    return re.sub(r"(\]\([./]*zoo/[\w/]*)README\.md", r"\1index.md", markdown)
