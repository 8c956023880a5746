"""What a run leaves in writing: the command, run.json, metadata."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from collections.abc import Sequence
from typing import IO
from typing import TYPE_CHECKING
from typing import Any

from absl import flags
from absl import logging

from zoo.recipe import Model
from zoo.recipe import Recipe
from zoo.recipe import Stage

if TYPE_CHECKING:
    from zoo.data.images import Split

FLAGS = flags.FLAGS
# What a stage writes into its folder, beside `preset` or `model.keras`.
FILES = re.compile(
    r"lock|(log\.csv|run\.json|last\.weights\.h5\.sha256)(\.partial)?"
    r"|(last|before|best)(\.partial)?\.weights\.h5"
)
FOLDER = "tensorboard"


def commit() -> str | None:
    """Return the commit of this code, with "+" if it was changed, or None."""

    def git(*args: str) -> str:
        return subprocess.run(
            ["git", *args],
            capture_output=True,
            text=True,
            check=True,
            cwd=pathlib.Path(__file__).parent,
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def check_command() -> None:
    """Raise if a preset could not hold the command."""
    for name in FLAGS:
        value = FLAGS[name].value
        try:
            str(value).encode("utf-8")
        except UnicodeEncodeError as e:
            raise ValueError(
                f"`--{name}` must be text in UTF-8, which a preset can hold. "
                f"Received: --{name} {ascii(value)}"
            ) from e


def command() -> str:
    """Return the command that runs, to be pasted in the same folder.

    Absolute paths into this folder become relative. Of other absolute paths
    only the end stays, since they may tell who the user is.
    """
    import keras

    def shorten(value: re.Match) -> str:
        path = value[0]
        if os.path.isabs(path) and "://" not in path:
            path = os.path.normpath(path)
            if pathlib.Path(path).is_relative_to(pathlib.Path.cwd()):
                return os.path.relpath(path)
            return "./" + os.path.basename(path)
        return path

    def word(argument: str) -> str:
        # Several values may stand in one argument: `--set=init=a/b,epochs=3`.
        return re.sub("[^=,]+", shorten, argument)

    module = f"zoo.{pathlib.Path(sys.argv[0]).stem}"
    words = shlex.join(["python", "-m", module, *map(word, sys.argv[1:])])
    return f"KERAS_BACKEND={keras.backend.backend()} {words}"


@contextlib.contextmanager
def replacing(path: str, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a file that replaces `path` once it is whole.

    Args:
        path: Path of the file.
        mode: `"w"` for text in UTF-8, or `"wb"`.
    """
    partial = path + ".partial"
    text = {} if "b" in mode else {"newline": "", "encoding": "utf-8"}
    with open(partial, mode, **text) as file:
        yield file
    os.replace(partial, path)


def make_folder(flag: str, path: str) -> None:
    """Make the folder of a flag, and raise if no files can be written there."""
    try:
        os.makedirs(path, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except (OSError, ValueError) as e:
        raise ValueError(
            f"`--{flag}` must be a folder that can be written to ({e}). "
            f"Received: --{flag} {path}"
        ) from e


@contextlib.contextmanager
def locked(folder: str) -> Iterator[None]:
    """Make a training's folder, and keep other runs out of it."""
    make_folder("workdir", folder)
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        is_folder = os.path.isdir(path)
        if (is_folder and FILES.fullmatch(name)) or (
            name == FOLDER and not is_folder
        ):
            raise ValueError(
                f"`--workdir {folder}` holds other things in the place of "
                f"what the training is to save. Move them away: {path}"
            )
    with alone_in("workdir", folder):
        yield


@contextlib.contextmanager
def alone_in(flag: str, folder: str) -> Iterator[None]:
    """Keep other runs out of the folder of a flag.

    The kernel releases the lock when the process ends, however it ends.
    """
    # Here, since Windows has none.
    import fcntl

    with open(os.path.join(folder, "lock"), "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise ValueError(
                f"Another run is at work in `--{flag} {folder}`. Wait for "
                "its end, or use another folder."
            ) from e
        yield


def start_or_continue(
    folder: str,
    recipe: Recipe,
    stage: Stage,
    splits: Sequence[Split],
    teacher: dict[str, Any] | None,
    has_checkpoint: bool,
) -> tuple[dict[str, Any], bool]:
    """Return what is known of the run in a stage's folder.

    Args:
        folder: Path of the folder.
        recipe: The `Recipe`.
        stage: Its `Stage`.
        splits: The `Split`s of the data that it is run with.
        teacher: What `teacher.record` says of the one to learn from, or None.
        has_checkpoint: Whether the folder has a checkpoint.

    Returns:
        The contents of `run.json`, or what to `note` there of a new run; and
        whether the run is finished.

    Raises:
        ValueError: If the run in the folder is of another recipe or other data.
    """
    run = {
        "recipe": recipe.record(stage),
        "data": os.path.basename(os.path.normpath(FLAGS.data)),
        "data_fingerprint": [split.fingerprint for split in splits],
        "validation_fraction": FLAGS.validation_fraction,
        "model": stage.kind,
        "init": stage.init and os.path.basename(os.path.normpath(stage.init)),
        "teacher": teacher,
        "seed": FLAGS.seed,
        "steps_per_epoch": FLAGS.steps_per_epoch,
    }
    # Now, since at the end of the training a file may be gone.
    _ = splits[0].trained_on
    run = json.loads(json.dumps(run))
    path = os.path.join(folder, "run.json")
    if os.path.exists(path):
        before = read(path)
        is_finished = before.pop("finished", None) is True
        changed: dict[str, Any] = {
            k: (before.get(k), v) for k, v in run.items() if before.get(k) != v
        }
        if "data_fingerprint" in changed:
            changed["data_fingerprint"] = "other images or classes"
        if changed:
            raise ValueError(
                f"The folder {folder} holds another run. Use a new --workdir, "
                "or the flags, recipe and data that it was started with. "
                f"Changed, from and to: {changed}"
            )
        return before, is_finished
    if has_checkpoint:
        raise ValueError(
            f"The folder {folder} holds a checkpoint, but no run.json that "
            "says how it was made. Use a new --workdir."
        )
    return {**run, "command": command(), "commit": commit()}, False


def read(path: str) -> dict[str, Any]:
    """Return the object in a JSON file."""
    try:
        with open(path, encoding="utf-8") as file:
            contents = json.load(file)
        if not isinstance(contents, dict):
            raise ValueError("it holds no object")
    except (RecursionError, ValueError) as e:
        raise ValueError(f"{path} is damaged ({e}).") from e
    return contents


def note(folder: str, run: dict[str, Any], is_finished: bool = False) -> None:
    """Write `run.json`."""
    if is_finished:
        run = {**run, "finished": True}
    with replacing(os.path.join(folder, "run.json")) as file:
        json.dump(run, file, indent=2)


def metadata(
    recipe: Recipe,
    stage: Stage,
    run: dict[str, Any],
    split: Split,
    start: dict[str, Any] | None,
) -> dict[str, Any]:
    """Return what the readers of a preset should know of its training.

    Args:
        recipe: The `Recipe`. What its `about` says of a data set goes into the
            metadata only if the classes have the names of that data set's.
        stage: Its `Stage`.
        run: Contents of `run.json`.
        split: The `Split` of the training images.
        start: Metadata of the preset that the run began with, or None.
    """
    about = recipe.about
    folders = recipe.class_folders
    described = about.dataset is None or (
        folders is not None
        and all(re.fullmatch(folders, folder) for folder in split.folders)
    )
    if not described:
        logging.warning(
            "The classes are not those of %s, so the preset says nothing about "
            "it. Describe your data by --description, --dataset and "
            "--dataset_license.",
            about.dataset,
        )
    description = FLAGS.description or (
        about.description if described else _description(stage, split)
    )
    if stage is not recipe.stages[-1]:
        description += f" The stage {stage.name}, which others follow."
    own = described and FLAGS.dataset is None
    name = FLAGS.dataset or (own and about.dataset) or run["data"]
    note = f" ({FLAGS.data_note})" if FLAGS.data_note else ""
    stated = FLAGS.dataset_license or (own and about.dataset_license)
    trained_on = {}
    if split.trained_on is not None:
        trained_on = {"trained_on": split.trained_on}
        # What it began with was trained on others.
        if start and "trained_on" in start:
            earlier = ("trained_on", "transferred_from")
            trained_on["transferred_from"] = {
                key: start[key] for key in earlier if key in start
            }
    return {
        "description": description,
        "class_names": split.names,
        **trained_on,
        "dataset": {"name": name + note, "license": stated or "Not stated."},
        "license": about.license if described else "Not stated.",
        "training": (
            {**run, "before": start.get("training")} if start else run
        ),
    }


def _description(stage: Stage, split: Split) -> str:
    """Return a description of what a stage makes of any data."""
    height, width, _ = stage.model.image_shape
    layers = (
        f"FA-CNN of {sum(stage.model.depths)} layers"
        if isinstance(stage.model, Model)
        else "Classifier"
    )
    return (
        f"{layers} for {width}x{height} images of {len(split.names)} classes."
    )
