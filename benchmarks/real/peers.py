"""One job with one peer, as its users write it: ``python -m benchmarks.real.peers PEER JOB``.

A program of its own, so that its start and its end are in its time. It imports the one library it
needs, and not what else is in this repository.
"""

from __future__ import annotations

import sys
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from benchmarks.real import jobs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Work = Callable[[Any], Any]

CHUNKS = {"wordcount": 1, "thumbnails": 1, "naps": 1, "dicts": 500}
"""Items in one message, chosen by hand: as many as serve the peer best."""


def plain(work: Work, items: Iterable[Any], _workers: int, _chunk: int) -> Iterator[Any]:
    """A loop in one process."""
    return map(work, items)


def pool(work: Work, items: Iterable[Any], workers: int, chunk: int) -> Iterator[Any]:
    import multiprocessing

    with multiprocessing.Pool(workers) as processes:
        yield from processes.imap_unordered(work, items, chunk)


def futures(work: Work, items: Iterable[Any], workers: int, chunk: int) -> Iterator[Any]:
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(workers) as executor:
        yield from executor.map(work, items, chunksize=chunk)


def joblib(work: Work, items: Iterable[Any], workers: int, chunk: int) -> Iterator[Any]:
    from joblib import Parallel, delayed  # type: ignore[import-untyped, unused-ignore]

    batch = "auto" if chunk == 1 else chunk
    parallel = Parallel(workers, return_as="generator_unordered", batch_size=batch)
    yield from parallel(delayed(work)(item) for item in items)


def mpire(work: Work, items: Iterable[Any], workers: int, chunk: int) -> Iterator[Any]:
    from mpire import WorkerPool  # type: ignore[import-untyped, unused-ignore]

    # It unpacks tuples and dicts into arguments, and makes a list of what has no length.
    packed = [(item,) for item in items]
    with WorkerPool(workers) as processes:
        yield from processes.imap_unordered(work, packed, chunk_size=chunk)


def dask(work: Work, items: Iterable[Any], workers: int, chunk: int) -> Iterator[Any]:
    from distributed import Client, LocalCluster, as_completed

    with (
        LocalCluster(  # type: ignore[no-untyped-call, unused-ignore]
            n_workers=workers, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
        ) as cluster,
        Client(cluster) as client,  # type: ignore[no-untyped-call, unused-ignore]
    ):
        sent = client.map(partial(_many, work), list(_chunks(items, chunk)), pure=False)
        for _, results in as_completed(sent, with_results=True):  # type: ignore[no-untyped-call, unused-ignore]
            yield from results


def ray(work: Work, items: Iterable[Any], workers: int, chunk: int) -> Iterator[Any]:
    import ray as this

    this.init(num_cpus=workers, include_dashboard=False, log_to_driver=False)
    task = this.remote(_many)
    waiting = [task.remote(work, some) for some in _chunks(items, chunk)]
    while waiting:
        done, waiting = this.wait(waiting, num_returns=min(len(waiting), 16), timeout=0.1)
        for results in this.get(done):
            yield from results
    this.shutdown()


def _chunks(items: Iterable[Any], chunk: int) -> Iterator[list[Any]]:
    source = iter(items)
    while some := list(islice(source, chunk)):
        yield some


def _many(work: Work, items: list[Any]) -> list[Any]:
    return [work(item) for item in items]


PEERS = {each.__name__: each for each in (plain, pool, futures, joblib, mpire, dask, ray)}


def main(peer: str, job: str, workers: int) -> None:
    """Do the job: every result goes to the sink, in this process."""
    sink = getattr(jobs, f"{job}_sink")()
    work, items = getattr(jobs, f"{job}_work"), getattr(jobs, f"{job}_items")()
    for result in PEERS[peer](work, items, workers, CHUNKS[job]):
        sink(result)
    sink.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
