"""Texts that mark where something is expected: ``run = "app:⟦uplod⟧"``."""

from __future__ import annotations

from pipeline_runner.errors import Problem, Span

OPEN, CLOSE = "⟦", "⟧"


def marked(text: str, file: str = "pipeline.toml") -> tuple[str, list[Span]]:
    """Return the text without its marks, and the marked stretches in order."""
    plain: list[str] = []
    spans: list[Span] = []
    line, column = 1, 1
    begun = (0, 0)
    for character in text:
        if character == OPEN:
            begun = (line, column)
        elif character == CLOSE:
            spans.append(Span(file, *begun, line, column))
        else:
            plain.append(character)
            line, column = (line + 1, 1) if character == "\n" else (line, column + 1)
    return "".join(plain), spans


def stretch(text: str, span: Span) -> str:
    """Return the text a span covers."""
    lines = text.split("\n")[span.line - 1 : span.end_line]
    lines[-1] = lines[-1][: span.end_column - 1]
    lines[0] = lines[0][span.column - 1 :]
    return "\n".join(lines)


def spans(problems: tuple[Problem, ...]) -> list[Span | None]:
    return [problem.span for problem in problems]
