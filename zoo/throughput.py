"""Compare the speed of `keras-facnn batch` with that of bare ONNX Runtime.

    python -m zoo.throughput --model clothing.onnx --pictures photos/ \
        --output maps/

One session of ONNX Runtime that uses all cores runs on random pixels, before
and after `explain_files` reads, explains and writes the pictures, with one
process per core. It prints the pictures per second of both, their ratio, the
memory of the calling process, the bytes that were written, and how far the sums
of the written maps are from the logits. It also prints the milliseconds of one
core that each part of the work takes per picture. It needs a Linux computer and
the extra `batch`.
"""

from __future__ import annotations

import json
import os
import pathlib
import resource
import statistics
import time
from collections.abc import Callable

import numpy as np
from absl import flags

from zoo import inputs

FLAGS = flags.FLAGS
BATCH = 32
ENDINGS = (".jpeg", ".jpg", ".png")


def define_flags() -> None:
    flags.DEFINE_string("model", None, "An `.onnx` file.", required=True)
    flags.DEFINE_string("pictures", None, "Folder of pictures.", required=True)
    flags.DEFINE_string(
        "output", None, "New folder for the rows.", required=True
    )
    flags.DEFINE_integer("limit", None, "Pictures to explain, at most.", 1)
    flags.DEFINE_enum(
        "dtype", "float16", ["float32", "float16"], "Of the maps."
    )
    flags.DEFINE_integer(
        "sample", 512, "Pictures that the bare session runs on.", BATCH
    )


def session_rate(model: str, pixels: np.ndarray, threads: int) -> float:
    """Return the pictures per second of a bare session."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model, options)
    name = session.get_inputs()[0].name
    batches = [
        pixels[i : i + BATCH].astype("float32")
        for i in range(0, len(pixels), BATCH)
    ]
    session.run(None, {name: batches[0]})
    begin = time.perf_counter()
    for batch in batches:
        session.run(None, {name: batch})
    return len(pixels) / (time.perf_counter() - begin)


def milliseconds(count: int, run: Callable[[], object]) -> float:
    """Return the milliseconds of processor time of a run, per picture."""
    begin = time.process_time()
    run()
    return 1e3 * (time.process_time() - begin) / count


def largest_difference(folder: str) -> float:
    """Return how far the sums of the written maps are from the logits."""
    from pyarrow import parquet

    worst = 0.0
    for path in sorted(pathlib.Path(folder).glob("part-*.parquet")):
        file = parquet.ParquetFile(path)
        facts = json.loads(file.schema_arrow.metadata[b"keras_facnn"])
        for batch in file.iter_batches(columns=["logit", "maps"]):
            rows = batch.filter(batch["logit"].is_valid())
            logits = rows["logit"].to_numpy()
            maps = rows["maps"].flatten().to_numpy().astype("float64")
            means = maps.reshape(len(rows), -1).mean(axis=1)
            found = means * facts["scale"] - (facts["offset"] or 0)
            worst = max(worst, float(np.abs(found - logits).max(initial=0)))
    return worst


def main() -> None:
    from keras_facnn.batch import explain_files
    from keras_facnn.runtime import Explainer

    model = FLAGS.model
    paths = [
        os.path.abspath(path)
        for path in sorted(pathlib.Path(FLAGS.pictures).rglob("*"))
        if path.suffix.lower() in ENDINGS
    ][: FLAGS.limit]
    cores = len(os.sched_getaffinity(0))
    explainer = Explainer(model, threads=1)

    sample = paths[: FLAGS.sample]
    # The time does not depend on what is in the pixels.
    pixels = np.random.default_rng(0).integers(
        0, 256, (len(sample), *explainer.image_shape), "uint8"
    )
    running = milliseconds(len(sample), lambda: explainer(pixels, "all"))
    both = milliseconds(len(sample), lambda: explainer(sample, "all"))
    reading = both - running
    before = session_rate(model, pixels, cores)
    memory: list[int] = []
    # When so many pictures were done.
    marks: list[tuple[float, int]] = []

    def progress(done: int, total: int, unreadable: int) -> None:
        if done:
            marks.append((time.perf_counter(), done))
            memory.append(int(_resident() / 2**20))
            print(f"{done} of {total}, {memory[-1]} MiB", flush=True)

    begin = time.perf_counter()
    counts = explain_files(
        model, paths, FLAGS.output, dtype=FLAGS.dtype, progress=progress
    )
    seconds = time.perf_counter() - begin
    after = session_rate(model, pixels, cores)
    (first, some), *_, (last, every) = marks
    rate = (every - some) / (last - first)
    bare = statistics.mean([before, after])
    written = sum(
        path.stat().st_size for path in pathlib.Path(FLAGS.output).glob("part*")
    )
    print(f"{counts}, {cores} cores, {seconds:.0f} s with Ray's start")
    print(f"batch: {rate:.1f} pictures per second, after the first part")
    print(f"bare session: {before:.1f} before, {after:.1f} after")
    print(
        f"ratio: {rate / bare:.3f}, with Ray's start "
        f"{counts['pictures'] / seconds / bare:.3f}"
    )
    print(
        f"memory of this process: {memory[0]} MiB after the first part, "
        f"{memory[-1]} after the last, peak "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}"
    )
    print(f"bytes per picture: {written / counts['pictures']:.0f}")
    print(
        f"sums of maps against logits: {largest_difference(FLAGS.output):.1e}"
    )
    print(
        f"of one core, per picture: {reading:.2f} ms reading, {running:.2f} ms "
        f"explaining, {1e3 * cores / rate:.2f} ms in all"
    )


def _resident() -> int:
    """Return the memory of this process in bytes."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    define_flags()
    inputs.run(main)
