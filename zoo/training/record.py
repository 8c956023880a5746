"""What a run leaves in writing: the command, run.json, metadata."""

import contextlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

from absl import flags
from absl import logging

FLAGS = flags.FLAGS
# What a run writes into its workdir, beside `preset` or `model.keras`.
FILES = re.compile(
    r"lock|(log\.csv|run\.json|last\.weights\.h5\.sha256)(\.partial)?"
    r"|(last|before|best)(\.partial)?\.weights\.h5"
)
FOLDER = "tensorboard"


def commit():
    """The commit of this code, "+" if it was changed, or None."""

    def git(*args):
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


def check_command():
    """Raises where the preset could not hold the command."""
    for name in FLAGS:
        value = FLAGS[name].value
        try:
            str(value).encode("utf-8")
        except UnicodeEncodeError as e:
            raise ValueError(
                f"`--{name}` must be text in UTF-8, which a preset can hold. "
                f"Received: --{name} {ascii(value)}"
            ) from e


def command():
    """The command that runs, with the last part alone of each path."""
    import keras

    def word(argument):
        flag, equals, value = argument.rpartition("=")
        if os.sep in value and "://" not in value:
            value = "./" + os.path.basename(os.path.normpath(value))
        return flag + equals + value

    module = f"zoo.{pathlib.Path(sys.argv[0]).stem}"
    words = shlex.join(["python", "-m", module, *map(word, sys.argv[1:])])
    return f"KERAS_BACKEND={keras.backend.backend()} {words}"


@contextlib.contextmanager
def replacing(path):
    """Opens a text file that takes the place of `path` once it is whole."""
    partial = path + ".partial"
    with open(partial, "w", newline="", encoding="utf-8") as file:
        yield file
    os.replace(partial, path)


def make_folder(flag, path):
    """Makes the folder of a flag, where files can be written."""
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
def locked(workdir):
    """Keeps other runs out of a workdir, which it makes.

    The kernel lets go of the lock when the process ends, however it ends.
    """
    # Here, since Windows has none.
    import fcntl

    make_folder("workdir", workdir)
    for name in os.listdir(workdir):
        path = os.path.join(workdir, name)
        is_folder = os.path.isdir(path)
        if (is_folder and FILES.fullmatch(name)) or (
            name == FOLDER and not is_folder
        ):
            raise ValueError(
                f"`--workdir {workdir}` holds other things in the place of "
                f"what the training is to save. Move them away: {path}"
            )
    with open(os.path.join(workdir, "lock"), "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise ValueError(
                f"Another run is at work in `--workdir {workdir}`. Wait for "
                "its end, or use another folder."
            ) from e
        yield


def start_or_continue(config, splits, teacher, has_checkpoint):
    """What is known of the run in the workdir.

    Args:
        config: The `zoo.config.Config`.
        splits: The `Split`s of the data that it is run with.
        teacher: What `teacher.record` says of the one to learn from, or None.
        has_checkpoint: Whether the workdir has one.

    Returns:
        The contents of `run.json`, or what to `note` there of a new run. A run
        of another recipe or other data is not continued.
    """
    run = {
        "recipe": config.recipe(),
        "data": os.path.basename(os.path.normpath(FLAGS.data)),
        "data_fingerprint": [split.fingerprint() for split in splits],
        "validation_fraction": FLAGS.validation_fraction,
        "model": FLAGS.model,
        "init": FLAGS.init and os.path.basename(os.path.normpath(FLAGS.init)),
        "teacher": teacher,
        "seed": FLAGS.seed,
        "precision": FLAGS.precision,
        "steps_per_epoch": FLAGS.steps_per_epoch,
    }
    # Now, since at the end of the training a file may be gone.
    _ = splits[0].trained_on
    run = json.loads(json.dumps(run))
    path = os.path.join(FLAGS.workdir, "run.json")
    if os.path.exists(path):
        before = read(path)
        changed = {
            k: (before.get(k), v) for k, v in run.items() if before.get(k) != v
        }
        if "data_fingerprint" in changed:
            changed["data_fingerprint"] = "other images or classes"
        if changed:
            raise ValueError(
                f"`--workdir {FLAGS.workdir}` holds another run. Use a new "
                "folder, or the flags, config and data that it was started "
                f"with. Changed, from and to: {changed}"
            )
        return before
    if has_checkpoint:
        raise ValueError(
            f"`--workdir {FLAGS.workdir}` holds a checkpoint, but no run.json "
            "that tells how it was made. Use a new folder."
        )
    return {**run, "command": command(), "commit": commit()}


def read(path):
    """The object in a JSON file."""
    try:
        with open(path, encoding="utf-8") as file:
            contents = json.load(file)
        if not isinstance(contents, dict):
            raise ValueError("it holds no object")
    except (RecursionError, ValueError) as e:
        raise ValueError(f"{path} is damaged ({e}).") from e
    return contents


def note(run):
    """Writes `run.json`."""
    with replacing(os.path.join(FLAGS.workdir, "run.json")) as file:
        json.dump(run, file, indent=2)


def metadata(config, run, split, start):
    """What the readers of a preset should know of its training.

    Args:
        config: The `zoo.config.Config`; what its `about` says of a data set is
            said of that one only, which the names of the classes tell.
        run: Contents of `run.json`.
        split: The `Split` of the training images.
        start: Metadata of the preset that the run began with, or None.
    """
    about = config.about
    folders = config.class_folders
    described = about.dataset is None or (
        folders is not None
        and all(re.fullmatch(folders, folder) for folder in split.folders)
    )
    if not described:
        logging.warning(
            "The classes are not those of %s, so the preset says nothing of "
            "it. --description, --dataset and --dataset_license tell of yours.",
            about.dataset,
        )
    height, width, _ = config.model.image_shape
    description = FLAGS.description or (
        about.description
        if described
        else f"FA-CNN of {sum(config.model.depths)} layers for "
        f"{width}x{height} images of {len(split.names)} classes."
    )
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
