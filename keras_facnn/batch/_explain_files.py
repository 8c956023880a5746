import os
import typing
import uuid
from collections.abc import Callable
from collections.abc import Sequence

from keras_facnn._checks.arguments import check_option
from keras_facnn._checks.numbers import check_int
from keras_facnn.batch.inputs import Inputs
from keras_facnn.batch.on_ray import check_ray
from keras_facnn.batch.on_ray import run_parts
from keras_facnn.batch.rows import Rows
from keras_facnn.batch.run_folder import RunFolder
from keras_facnn.runtime import Explainer
from keras_facnn.runtime.model_file import EngineName

# Called with the pictures that are done, those of the run, and those of the
# former that cannot be read.
Progress: typing.TypeAlias = Callable[[int, int, int], None]


def explain_files(
    model: str | os.PathLike[str],
    inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    top: int = 16,
    maps: int = 1,
    dtype: typing.Literal["float32", "float16", "int8"] = "float16",
    column: str | None = None,
    pictures_per_file: int = 1000,
    batch_size: int = 32,
    engine: EngineName | None = None,
    workers: int | None = None,
    address: str | None = None,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Explain any number of pictures into Parquet files, on Ray Data.

    Each process opens the model with one thread, reads pictures as
    `load_images` does, and writes whole files. If the run is killed, the same
    call continues it; no row is lost or there twice. A picture that can't be
    read is a row that has an `error`.

    Args:
        model: Path of a file that `FACNN.export` wrote, `.onnx` or `.xml`.
        inputs: Path of a folder, which may have folders within it, a picture, a
            Parquet file that holds pictures or their paths, or a `.txt` file
            with one path per line; a pattern such as `"photos/**/*.jpg"`; an
            address that PyArrow knows, such as `"s3://bucket/photos"`; or a
            sequence of these.
        output: Path or address of the folder for the files
            `part-NUMBER.parquet`: a new one, or that of a run to continue.
        top: Number of the likeliest classes to list per picture.
        maps: Number of the likeliest classes whose maps are written, at most
            `top`. 0 writes none.
        dtype: Type of the maps. With `"int8"`, a map is its column times the
            `_step` of its row.
        column: Name of the column of Parquet files that holds the bytes of
            pictures or their paths. The default is the first of `bytes`,
            `image` and `path`.
        pictures_per_file: Largest number of rows of a file. Small runs have
            fewer, so that all processes have work.
        batch_size: Positive integer, pictures per forward pass.
        engine: As in `Explainer`.
        workers: Number of processes, one per core by default.
        address: Address of a Ray cluster, `"auto"` for the one of this
            machine, or None to start Ray for this call only. On a cluster, all
            machines must have the model, the pictures and the output at the
            same paths.
        progress: Optional function that is called after each file with the
            numbers of pictures that are done, that there are in all, and that
            could not be read.

    Returns:
        A dict with the number of `pictures` of the run, of those which were in
        files before this call (`before`), of those that could not be read
        (`unreadable`), and of the files that the inputs name and that are no
        pictures (`left_out`).

    Raises:
        ValueError: If `output` holds a run of another model or of other
            options, or parts of an unknown run; if a Parquet file has no such
            column; or if there are no pictures.
        FileNotFoundError: If an input does not exist.
        ImportError: If Ray is missing.
        RuntimeError: If a process died several times, or could not write.

    Example:

    >>> from keras_facnn.batch import explain_files
    >>> explain_files("model.onnx", "photos", "maps")    # doctest: +SKIP
    {'pictures': 12000, 'before': 0, 'unreadable': 3, 'left_out': 1}
    """
    check_option("dtype", dtype, ("float32", "float16", "int8"))
    check_int("maps", maps, least=0)
    for name, value in {
        "top": top,
        "pictures_per_file": pictures_per_file,
        "batch_size": batch_size,
        "workers": 1 if workers is None else workers,
    }.items():
        check_int(name, value)
    if maps > top:
        raise ValueError(
            "`maps` must be at most `top`, of how many classes there is "
            f"anything. Received: maps={maps}, top={top}"
        )
    check_ray()
    names = _as_list(inputs)
    folder = RunFolder(os.fspath(output))
    rows = Rows(Explainer(model, engine, threads=1), top, maps, dtype)
    folder.start(
        _facts(rows, names, column, pictures_per_file),
        lambda: Inputs(names, column).listing(pictures_per_file),
    )
    parts, pictures, before = folder.left()
    done, unreadable = before, folder.unreadable()
    worker = {
        "folder": folder,
        "rows": rows,
        "column": column,
        "batch_size": batch_size,
        "call": uuid.uuid4().hex,
    }
    if progress is not None:
        progress(done, pictures, unreadable)
    for counts in run_parts(parts, worker, workers, address):
        done += counts["pictures"]
        unreadable += counts["unreadable"]
        if progress is not None:
            progress(done, pictures, unreadable)
    folder.finish()
    return {
        "pictures": pictures,
        "before": before,
        "unreadable": unreadable,
        "left_out": folder.left_out(),
    }


def _facts(
    rows: Rows, inputs: list[str], column: str | None, pictures_per_file: int
) -> dict[str, typing.Any]:
    """Return what must be equal for a run to be continued."""
    return {
        "model": rows.explainer.sha256,
        "inputs": inputs,
        "column": column,
        "top": rows.top,
        "maps": rows.maps,
        "dtype": rows.dtype,
        "pictures_per_file": pictures_per_file,
    }


def _as_list(inputs: typing.Any) -> list[str]:
    if isinstance(inputs, (str, os.PathLike)):
        inputs = [inputs]
    return [os.fspath(name) for name in inputs]
