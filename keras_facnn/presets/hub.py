"""Presets on the Hugging Face Hub, which its own library downloads."""

import contextlib
import os
import pathlib
import re
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

from keras_facnn._checks.packages import how_to_install
from keras_facnn._checks.text import printable
from keras_facnn.presets import files
from keras_facnn.presets.card import model_card
from keras_facnn.version import __version__

_CARD = "README.md"
_HANDLE = re.compile(
    r"hf://(?P<repository>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)"
    r"(@(?P<revision>[A-Za-z0-9][\w./-]*))?/?"
)


class Repository:
    """A preset in a repository of the Hub.

    `huggingface_hub` keeps what it downloaded, so that it also works offline.
    Its environment variables name the token, the cache and the server.

    Args:
        handle: `hf://user/repo`, or `hf://user/repo@revision` for a branch, a
            tag or a commit.
    """

    def __init__(self, handle: str):
        match = _HANDLE.fullmatch(handle)
        if not match or ".." in handle:
            raise ValueError(
                "A handle on the Hugging Face Hub must be `hf://user/repo` or "
                f"`hf://user/repo@revision`. Received: {handle!r}"
            )
        self.handle = handle
        self.repository = match["repository"]
        self.revision = match["revision"]

    def read(self, name: str) -> bytes:
        """Return the bytes of a JSON file."""
        return self._fetch(name, files.LARGEST_JSON).read_bytes()

    def weights(self, sha256: str, largest: int) -> pathlib.Path:
        """Return the path of the weights, whose hash was checked."""
        path = self._fetch(files.WEIGHTS, largest)
        files.check_sha256(files.sha256_of(path), sha256, str(path))
        return path

    def _fetch(self, name: str, largest: int) -> pathlib.Path:
        """Return the path of a downloaded file of at most so many bytes."""
        found = self._download(name, dry_run=True)
        files.check_file_size(
            found.file_size or 0, largest, f"{name} of {self.handle}"
        )
        path = pathlib.Path(self._download(name))
        # All further files are read from the same commit.
        self.revision = found.commit_hash
        if not path.is_file():
            raise ValueError(f"{path} must be a file. Delete it.")
        files.check_file_size(path.stat().st_size, largest, path)
        return path

    def upload(
        self, folder: pathlib.Path, record: Mapping[str, Any], private: bool
    ) -> str:
        """Commit the files of a preset, and return the URL of the commit.

        A model card goes along, unless the repository has one.
        """
        with self._api("uploaded") as api:
            from huggingface_hub import CommitOperationAdd

            api.create_repo(self.repository, private=private, exist_ok=True)
            contents: dict[str, Any] = {
                name: folder / name for name in files.ALL
            }
            if not api.file_exists(
                self.repository, _CARD, revision=self.revision
            ):
                at = f"@{self.revision}" if self.revision else ""
                card = model_card(record, f"hf://{self.repository}{at}")
                contents[_CARD] = card.encode("utf-8")
            commit = api.create_commit(
                self.repository,
                [CommitOperationAdd(*item) for item in contents.items()],
                revision=self.revision,
                commit_message="Upload a preset of keras_facnn",
            )
        return commit.commit_url

    def _download(self, name: str, **options: Any) -> Any:
        with self._api("fetched", f"{name} of ") as api:
            return api.hf_hub_download(
                self.repository, name, revision=self.revision, **options
            )

    @contextlib.contextmanager
    def _api(self, done: str, what: str = "") -> Iterator[Any]:
        """Give the client of the Hub, whose errors then name the handle."""
        try:
            import huggingface_hub
        except ImportError as e:
            raise ImportError(
                f"{self.handle} needs the library of the Hugging Face Hub: "
                + how_to_install("hub")
            ) from e
        failed = f"{what}{self.handle} could not be {done}: "
        try:
            yield huggingface_hub.HfApi(
                endpoint=os.environ.get("HF_ENDPOINT"),
                library_name="keras_facnn",
                library_version=__version__,
            )
        except (huggingface_hub.errors.HfHubHTTPError, ValueError) as e:
            raise ValueError(
                f"{failed}{_line(e)} Check the address. Is it private? A "
                "token for the Hub is read from HF_TOKEN."
            ) from e
        # The library raises errors of several others, which change.
        except Exception as e:
            raise ConnectionError(
                f"{failed}{_line(e)} Bundled presets and local folders "
                "need no network."
            ) from e


def _line(error: Exception) -> str:
    """Return the message of an error as one line."""
    return printable(" ".join(str(error).split()))
