"""What a run leaves in writing: the command, run.json, metadata."""

import contextlib
import json
import os
import pathlib
import shlex
import subprocess
import sys

from absl import flags

FLAGS = flags.FLAGS


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


def command():
    """The command that runs, with the last part alone of each path."""
    import keras

    def word(argument):
        flag, equals, value = argument.rpartition("=")
        if os.sep in value and "://" not in value:
            value = "./" + os.path.basename(os.path.normpath(value))
        return flag + equals + value

    module = sys.modules["__main__"].__spec__.name
    words = shlex.join(["python", "-m", module, *map(word, sys.argv[1:])])
    return f"KERAS_BACKEND={keras.backend.backend()} {words}"


@contextlib.contextmanager
def replacing(path):
    """Opens a text file that takes the place of `path` once it is whole."""
    partial = path + ".partial"
    with open(partial, "w", newline="") as file:
        yield file
    os.replace(partial, path)


def start_or_continue(config, checkpoint, writes):
    """What is known of the run in the workdir, from `run.json`.

    A new run is noted there; a run with another recipe is not continued.
    """
    run = {
        "recipe": {k: v for k, v in config.items() if k != "about"},
        "data": os.path.basename(os.path.normpath(FLAGS.data)),
        "model": FLAGS.model,
        "init": FLAGS.init and os.path.basename(os.path.normpath(FLAGS.init)),
        "seed": FLAGS.seed,
        "precision": FLAGS.precision,
        "steps_per_epoch": FLAGS.steps_per_epoch,
    }
    run = json.loads(json.dumps(run))
    path = os.path.join(FLAGS.workdir, "run.json")
    if os.path.exists(path):
        with open(path) as file:
            before = json.load(file)
        changed = {
            k: (before.get(k), v) for k, v in run.items() if before.get(k) != v
        }
        if changed:
            raise ValueError(
                f"`--workdir {FLAGS.workdir}` holds another run. Use a new "
                "folder, or the flags and config that it was started with. "
                f"Changed, from and to: {changed}"
            )
        return before
    if os.path.exists(checkpoint):
        raise ValueError(
            f"`--workdir {FLAGS.workdir}` holds a checkpoint, but no run.json "
            "that tells how it was made. Use a new folder."
        )
    if not writes:
        return run
    os.makedirs(FLAGS.workdir, exist_ok=True)
    run["command"] = command()
    run["commit"] = commit()
    with replacing(path) as file:
        json.dump(run, file, indent=2)
    return run


def metadata(config, run, class_names, start):
    """What the readers of a preset should know of its training.

    `start` is the metadata of the preset that it began with, or None.
    """
    about = config["about"]
    note = f" ({FLAGS.data_note})" if FLAGS.data_note else ""
    return {
        "description": about["description"],
        "class_names": class_names,
        "dataset": {
            "name": about["dataset"] + note,
            "license": about["dataset_license"],
        },
        "license": about["license"],
        "training": (
            {**run, "before": start.get("training")} if start else run
        ),
    }
