"""The same count without a runner, in one process: what the pipeline's table is compared with."""

from __future__ import annotations

from collections import Counter

from functions import count, files, table


def main() -> None:
    sums: Counter[str] = Counter()
    names = list(files())
    for name in names:
        sums.update(count(name)[1])
    print(table(sums, len(names)))


if __name__ == "__main__":
    main()
