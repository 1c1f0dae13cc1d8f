"""What a sweep shows while it runs."""

import io
import sys

import pytest

from ratedistortion import events, progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


EVENTS = (
    events.Compiling("training"),
    events.Planned(4, 10, "beta", 0.1, 4.0, "map", devices=1, width=2, chunks=2),
    events.Trained(chunk=0, runs=2, steps=1, seconds=0.5),
    events.Trained(chunk=0, runs=2, steps=10, seconds=1.0),
    events.Measured(chunk=0, rows=1, of=4, row={}),
    events.Diverged(0.1, 0, None, step=3, term="R", data="they reach 9"),
    events.ChunkDone(chunk=0, train_seconds=1.0, measure_seconds=0.1),
    events.Warned("the last digits can differ."),
)


@pytest.mark.parametrize("no_colour, quiet", [("", False), ("1", False), ("", True)])
def test_only_a_terminal_sees_a_bar(monkeypatch, no_colour, quiet):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("NO_COLOR", no_colour)
    monkeypatch.setenv("TERM", "xterm")
    with progress.Progress(quiet) as shown:
        for event in EVENTS:
            shown.report(event)
    text, animated = stream.getvalue(), not no_colour and not quiet
    assert ("\x1b" in text) == animated
    assert ("4 runs of 10 steps" in text) == (not quiet)
    assert ("diverged: beta 0.1, seed 0, step 3" in text) == (not quiet)
    assert "Warning: the last digits can differ." in text
    if animated:
        assert "measuring: 1 of 4 rows" in text


def test_off_a_terminal_a_line_now_and_then(monkeypatch, capsys):
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", -1.0)
    with progress.Progress(quiet=False) as shown:
        for event in EVENTS:
            shown.report(event)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "compiling training",
        "4 runs of 10 steps, beta 0.1 to 4, in 2 chunks, map on 1 device",
        "training: chunk 1 of 2, step 1 of 10, 0 model-steps/s",
        "training: chunk 1 of 2, step 10 of 10, 18 model-steps/s, 1 s left",
        "measuring: 1 of 4 rows",
        "diverged: beta 0.1, seed 0, step 3: R is not finite; they reach 9",
        "chunk 1 of 2 done: training 1 s, measuring 0 s",
        "Warning: the last digits can differ.",
    ]
