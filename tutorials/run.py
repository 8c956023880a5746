"""Run the tutorials.

    python tutorials/run.py             # each on little data, as a check
    python tutorials/run.py --write     # in full, and keep the outputs

The `.py` files are the source. Names of some of them, such as `five_minutes`,
run only these. Each runs in a folder of its own, beside a copy of `samples/`.
"""

import argparse
import os
import pathlib
import re
import shutil
import sys
import tempfile
import time

import jupytext
import nbclient
import nbformat

TUTORIALS = pathlib.Path(__file__).parent
ROOT = TUTORIALS.parent
# As JPEG, a notebook's figures take a quarter of the space.
FIGURES = [
    "--InlineBackend.figure_formats=jpeg",
    "--InlineBackend.print_figure_kwargs={'pil_kwargs': {'quality': 90}}",
]
# Messages of TensorFlow's C++ code when it starts.
LOGS = re.compile(
    r"^(I\d{4} |WARNING: All log messages before).*\n?", re.MULTILINE
)


def read(path):
    """Return the notebook that a script is the source of, without outputs."""
    notebook = jupytext.read(path)
    notebook.metadata = {
        "kernelspec": {
            "display_name": "Python 3",
            "language": "python",
            "name": "python3",
        },
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        cell.metadata = {}
    return notebook


def execute(notebook):
    """Run a notebook, and keep its outputs in it."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "samples", f"{folder}/samples")
        os.mkdir(f"{folder}/tutorials")
        nbclient.NotebookClient(
            notebook,
            timeout=1800,
            kernel_name="python3",
            record_timing=False,
            coalesce_streams=True,
            extra_arguments=FIGURES + ["--log-level=ERROR"],
            resources={"metadata": {"path": f"{folder}/tutorials"}},
        ).execute()
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                output.text = LOGS.sub("", output.text)
        if "outputs" in cell:
            cell.outputs = [x for x in cell.outputs if x.get("text") != ""]


def main():
    names = sorted(
        path.stem
        for path in TUTORIALS.glob("*.py")
        if path != pathlib.Path(__file__)
    )
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", default=names, metavar="NAME")
    parser.add_argument("--write", action="store_true")
    flags = parser.parse_args()
    unknown = set(flags.names) - set(names)
    if unknown:
        parser.error(f"no such tutorial: {', '.join(sorted(unknown))}")
    if not flags.write:
        os.environ["KERAS_FACNN_QUICK"] = "1"
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # They run where `..` holds only the samples, without `zoo`.
    os.environ["PYTHONPATH"] = str(ROOT)
    for name in flags.names:
        start = time.monotonic()
        notebook = read(TUTORIALS / f"{name}.py")
        try:
            execute(notebook)
        except nbclient.exceptions.CellExecutionError as e:
            sys.exit(f"{name} failed.\n{e}")
        if flags.write:
            nbformat.write(notebook, TUTORIALS / f"{name}.ipynb")
        print(f"{name}: {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
