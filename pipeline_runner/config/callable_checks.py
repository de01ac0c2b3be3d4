"""Whether each stage's callable is there and takes what the graph gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_runner.config.faults import Fault, listed, once, placed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from pipeline_runner.config.callables import ImportFault, Missing, ProbeResult, Signature
    from pipeline_runner.config.locate import KeyPath, Locator
    from pipeline_runner.config.model import Stage, StageKind
    from pipeline_runner.config.pipeline import Pipeline
    from pipeline_runner.errors import Problem

_GENERATORS = {"generator", "asyncgen"}
_DECORATORS: dict[str, StageKind] = {"source": "source", "stage": "map", "sink": "sink"}


def check_callables(
    pipeline: Pipeline,
    results: Mapping[str, ProbeResult],
    locator: Locator,
    faulty: Collection[KeyPath] = (),
) -> tuple[Problem, ...]:
    """Return what is wrong with the callables, in file order.

    ``results`` holds what was found at each stage's ``run``; a stage without a result is passed
    over. ``locator`` knows the text of the file. Where that has errors, at ``faulty``, how a stage
    is called is judged only if it and the edges are as they were meant.
    """
    known = {path[:2] if path[:1] == ("stages",) else path[:1] for path in faulty}
    meant = not known & {("edges",), ("stages",), ("defaults",)}
    faults: list[Fault] = []
    called: dict[str, ProbeResult] = {}
    for name, result in results.items():
        run = pipeline.stages[name].run
        judge = _Judge(pipeline, name, result)
        found = [*judge.absent()]
        if meant and ("stages", name) not in known and not found:
            called[name] = result
            found += judge.calls()
        # A `run` that came from the environment is not in the file character by character.
        written = locator.string(judge.path) == run
        faults += [fault if written else fault.whole() for fault in found]
    return placed([*once(faults, _is_of_module), *_replayed(pipeline, called)], locator)


def _is_of_module(fault: Fault) -> bool:
    """Whether it is about a module, and so about each stage in it."""
    return fault.code == "import" and fault.part is not None and fault.part[0] == 0


def probed(pipeline: Pipeline, faulty: Collection[KeyPath]) -> dict[str, Stage]:
    """Return the stages whose ``run`` and ``env`` are as they were meant."""
    known = {path[:3] for path in faulty}
    if {path[:2] for path in faulty} & {("defaults",), ("defaults", "env")}:
        return {}
    return {
        name: stage
        for name, stage in pipeline.stages.items()
        if stage.run and not known & {("stages", name, "run"), ("stages", name, "env")}
    }


def _replayed(pipeline: Pipeline, results: Mapping[str, ProbeResult]) -> Iterator[Fault]:
    """Say once, of all the sources it is about, what a run that goes on asks of them."""
    names = [
        name
        for name, result in results.items()
        if (call := result.signature) is not None
        and pipeline.kind(name) == "source"
        and call.kind in _GENERATORS
        and not call.cursor
        and pipeline.stages[name].restart != "again"
    ]
    if not names or pipeline.durability == "memory":  # nothing outlives such a run
        return
    many = len(names) > 1
    gave = "are iterated past what they" if many else "is iterated past what it"
    hint = f'so {"they" if many else "it"} must give the same again; restart = "again" for a live'
    path = ("stages", names[0], "run")
    message = f"after a restart {listed(names)} {gave} gave"
    yield Fault("replay", message, path, f"{hint} feed", severity="note")


class _Judge:
    """One stage and what was found at its ``run``."""

    def __init__(self, pipeline: Pipeline, name: str, result: ProbeResult) -> None:
        self.name = name
        self.stage = pipeline.stages[name]
        self.kind = pipeline.kind(name)
        self.result = result
        self.path: KeyPath = ("stages", name, "run")
        self.module, _, self.attribute = self.stage.run.partition(":")
        self.place = f"defined at {result.definition}" if str(result.definition or "") else ""

    def absent(self) -> Iterator[Fault]:
        """Yield why there is nothing to call, whatever the graph is."""
        result = self.result
        if result.fault is not None:
            yield self._not_imported(result.fault)
        elif result.missing is not None:
            yield self._missing(result.missing)
        elif result.signature is None:
            yield self._not_callable()
        else:
            yield from self._constructor()
            yield from self._patched()

    def calls(self) -> Iterator[Fault]:
        """Yield what is wrong with the way the graph has it called."""
        assert self.result.signature is not None
        yield from self._call(self.result.signature)
        yield from self._decorator()
        yield from self._source(self.result.signature)
        yield from self._outputs(self.result)

    def _on_module(self, code: str, message: str, hint: str = "") -> Fault:
        return Fault(code, message, self.path, hint, part=(0, len(self.module)))

    def _on_attribute(self, code: str, message: str, hint: str = "") -> Fault:
        start = len(self.module) + 1
        part = (start, start + len(self.attribute))
        return Fault(code, message, self.path, hint, part=part)

    def _not_imported(self, fault: ImportFault) -> Fault:
        place = str(fault.place) if fault.place is not None else ""
        match fault.kind:
            case "absent":
                near = f'did you mean "{fault.near[0]}"?' if fault.near else ""
                hint = near or "modules are looked for in the folder of this file first"
                return self._on_module("import", f"there is no module {self.module}", hint)
            case "timeout":
                hint = "a module that does its work when imported needs a function for it"
                message = f"importing {self.module} does not end ({fault.message})"
                return self._on_module("import", message, hint)
            case "died":
                message = f"importing {self.module} ends the interpreter ({fault.message})"
                return self._on_module("import", message, place)
            case "raised":
                message = f"{self.module} cannot be imported: {fault.message}"
                at = f"at {place}" if place else ""
                if fault.variable:
                    name = fault.variable
                    cure = f'set it here, and give the stage env = {{ {name} = "${{{name}}}" }}'
                    at = f"{cure} ({at})" if at else cure
                return self._on_module("import", message, at)

    def _missing(self, missing: Missing) -> Fault:
        start = len(self.module) + 1 + self._offset_of(missing.name)
        hint = ""
        if missing.near:
            near = missing.near[0]
            where = f" ({near})" if near.file else ""
            hint = f"did you mean `{near.name}`{where}?"
        part = (start, start + len(missing.name))
        return Fault(
            "import", f"{missing.owner} has no `{missing.name}`", self.path, hint, part=part
        )

    def _offset_of(self, name: str) -> int:
        steps = self.attribute.split(".")
        at = steps.index(name) if name in steps else 0
        return sum(len(step) + 1 for step in steps[:at])

    def _not_callable(self) -> Fault:
        if self.result.constructor is not None:
            message = f"instances of {self.attribute} cannot be called"
            hint = "give the class a __call__"
        else:
            message = f"{self.attribute} is no function: it is of type {self.result.type_name}"
            hint = ""
        return self._on_attribute("not-callable", message, _joined(hint, self.place))

    def _constructor(self) -> Iterator[Fault]:
        made = self.result.constructor
        if made is not None and made.readable and (made.required or made.keywords):
            needed = ", ".join((*made.required, *made.keywords))
            message = f"{self.attribute} is built without arguments, and it needs {needed}"
            hint = _joined("give them defaults", self.place)
            yield self._on_attribute("signature", message, hint)

    def _patched(self) -> Iterator[Fault]:
        by = self.result.patched_by
        if by:
            message = f"{self.attribute} is async, and {by} has replaced what asyncio waits with"
            hint = f"write it without async: {by} lets a plain function wait; or leave {by} out"
            yield self._on_attribute("patched", message, _joined(hint, self.place))

    def _call(self, call: Signature) -> Iterator[Fault]:
        if not call.readable:
            return
        offered = 0 if self.kind == "source" else 1
        given = "a list of items" if self.stage.batch is not None else "one item"
        gets = f"{_article(self.kind)} gets {given if offered else 'no argument'}"
        needed = [name for name in call.required if self.kind != "source" or name != "cursor"]
        keywords = [name for name in call.keywords if self.kind != "source" or name != "cursor"]
        if keywords:
            message = f"{gets}, and {self.attribute} needs {', '.join(keywords)} as well"
        elif len(needed) > offered:
            message = f"{gets}, and {self.attribute} needs {', '.join(needed)}"
        elif call.most is not None and call.most < offered:
            message = f"{gets}, and {self.attribute} takes none"
        else:
            return
        hint = "no edge ends here, so it is a source" if self.kind == "source" else ""
        yield self._on_attribute("signature", message, _joined(hint, self.place))

    def _decorator(self) -> Iterator[Fault]:
        said = self.result.decorator
        if said is not None and _DECORATORS.get(said, self.kind) != self.kind:
            message = (
                f"{self.attribute} is marked @{said}, and the edges make it {_article(self.kind)}"
            )
            hint = _joined("change the mark or the edges", self.place)
            yield self._on_attribute("wrong-kind", message, hint)

    def _source(self, call: Signature) -> Iterator[Fault]:
        if self.kind != "source" or call.kind not in _GENERATORS:
            return
        if self._may_be_several():
            message = f"every process iterates {self.attribute} from its beginning"
            hint = "divide the work by context().index and context().count, or run one process"
            if self.stage.processes is None:
                hint += "; only `processes` gives a count that no joining host changes"
            yield Fault("copies", message, self.path, hint, severity="note")

    def _outputs(self, result: ProbeResult) -> Iterator[Fault]:
        """Yield what the text of the function shows and its author may not have meant."""
        if self.kind == "source" and result.reads_stdin:
            message = f"{self.attribute} reads the standard input, and that of a worker is empty"
            hint = "read a file; `runner debug` alone has the terminal's"
            yield Fault("stdin", message, self.path, hint, severity="warning")
        if self.kind == "source" and result.gives == "many":
            message = f"{self.attribute} is called for ever, and each list it returns is one item"
            hint = "yield from it instead: then its elements are the items, once"
            yield Fault("endless", message, self.path, hint, severity="warning")
        if self.kind == "map" and self.stage.batch is None:
            hint = "to send nothing on, yield what is to go on instead of returning it"
            if result.gives == "nothing":
                message = f"{self.attribute} returns nothing, and so sends None on for every item"
                yield Fault("none", message, self.path, hint, severity="note")
            elif result.gives == "sometimes nothing":
                message = f"{self.attribute} returns None for some items, which is sent on as well"
                yield Fault("none", message, self.path, hint, severity="note")

    def _may_be_several(self) -> bool:
        stage = self.stage
        if stage.processes is not None:
            return stage.processes > 1
        return stage.autoscale is not None or stage.per_host not in (None, 1)


def _article(kind: StageKind) -> str:
    return {"source": "a source", "map": "a stage between others", "sink": "a sink"}[kind]


def _joined(*hints: str) -> str:
    return "; ".join(hint for hint in hints if hint)
