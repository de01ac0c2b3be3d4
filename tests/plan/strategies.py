"""Pipelines and hosts to plan with: by hand (`host`, `pipeline`) and at random."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import strategies as st

from pipeline_runner.config.model import Edge, HostGroup, Stage
from pipeline_runner.config.pipeline import Pipeline
from pipeline_runner.plan.hosts import Host

GIB = 1024**3


def host(name: str = "desk", **facts: Any) -> Host:
    given: dict[str, Any] = {
        "os": "linux",
        "arch": "x86_64",
        "python": "3.11.4",
        "cores": 4,
        "memory": 16 * GIB,
    }
    return Host(name, **(given | facts))


def pipeline(
    stages: dict[str, dict[str, Any]],
    edges: list[tuple[str, str]] | None = None,
    hosts: dict[str, HostGroup] | None = None,
    **rest: Any,
) -> Pipeline:
    """A chain of ``stages`` in their order, unless ``edges`` says otherwise."""
    names = list(stages)
    chain = list(itertools.pairwise(names)) if edges is None else edges
    return Pipeline(
        name="thumbs",
        engine="embedded",
        durability="memory",
        stages={name: Stage(**{"run": f"app:{name}", **keys}) for name, keys in stages.items()},
        edges=tuple(
            Edge.model_validate({"from": a, "to": b, "name": f"{a}->{b}"}) for a, b in chain
        ),
        hosts=hosts or {},
        **rest,
    )


HOST_NAMES = ("desk", "gpu01", "gpu02", "pi4", "rig-1", "rig-7")
STAGE_NAMES = ("decode", "embed", "list", "resize", "store")
GROUPS = {
    "gpu": HostGroup(where=("gpus >= 1",), labels={"disk": "ssd"}),
    "rig": HostGroup(match=("rig-*",)),
}

counts = st.one_of(
    st.integers(0, 4), st.sampled_from(["cores", "cores-1", "cores/2", "gpus", "gpus*2"])
)
tables = st.dictionaries(
    st.sampled_from([*HOST_NAMES, "@gpu", "@rig", "rig-*", "gpu*", "*"]), counts, min_size=1
)
constraints = st.sampled_from(
    [
        "cores >= 4",
        "memory >= 8GiB",
        "gpus >= 1",
        "host ~ rig-*",
        "label.disk == ssd",
        "head == true",
    ]
)


@st.composite
def settings_of_counts(draw: st.DrawFn, *, plain: bool = False) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    match draw(st.sampled_from(["default", "processes", "per_host", "both", "autoscale"])):
        case "processes":
            keys["processes"] = draw(st.integers(0, 14))
        case "per_host":
            keys["per_host"] = draw(st.one_of(counts, tables))
        case "both":
            keys |= {"per_host": draw(counts), "processes": draw(st.integers(0, 9))}
        case "autoscale":
            keys["autoscale"] = {"min": draw(st.integers(0, 3)), "max": draw(st.integers(3, 9))}
    if not plain:
        keys["constraints"] = draw(st.lists(constraints, max_size=2))
        keys["max_per_host"] = draw(st.none() | st.integers(1, 4))
        keys["spread"] = draw(st.sampled_from(["host", "pack"]))
        keys["affinity"] = [
            {"if": rule, "weight": draw(st.integers(-100, 100))}
            for rule in draw(st.lists(constraints, max_size=2))
        ]
    return keys


@st.composite
def pipelines(draw: st.DrawFn) -> Pipeline:
    names = draw(st.lists(st.sampled_from(STAGE_NAMES), min_size=1, max_size=5, unique=True))
    return pipeline({name: draw(settings_of_counts()) for name in names}, hosts=GROUPS)


@st.composite
def host_lists(draw: st.DrawFn, *, min_size: int = 1, capped: bool = True) -> list[Host]:
    names = draw(st.lists(st.sampled_from(HOST_NAMES), min_size=min_size, max_size=5, unique=True))
    return [
        host(
            name,
            cores=draw(st.integers(1, 8)),
            memory=draw(st.sampled_from([4 * GIB, 16 * GIB])),
            gpus=draw(st.integers(0, 2)),
            head=position == 0,
            max_procs=draw(st.none() | st.integers(0, 6)) if capped else None,
        )
        for position, name in enumerate(names)
    ]


@st.composite
def running(draw: st.DrawFn, names: list[str]) -> dict[str, dict[str, int]]:
    """What runs now, of whatever origin: it need not fit the pipeline or the hosts."""
    return draw(
        st.dictionaries(
            st.sampled_from(names),
            st.dictionaries(st.sampled_from(STAGE_NAMES), st.integers(0, 6), max_size=5),
        )
    )
