"""`run(exam)`: every chase in its turn, then the safe strategies, each trial on empty tables."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from ticketlab import mutants
from ticketlab.errors import TicketlabError
from ticketlab.mutants import Trigger
from ticketlab.power import false_positives, storage
from ticketlab.power.detection import DetectionRun, Environment, ServerSlot, open_environment, run_until_detected
from ticketlab.power.false_positives import SafeTrial
from ticketlab.power.plan import POOL_SIZE, MutationPlan, ScheduledRun
from ticketlab.power.results import Results, examined
from ticketlab.runs import lab
from ticketlab.runs.lab import Progress, attach_server_log
from ticketlab.tickets import strategies

OnProgress: TypeAlias = Callable[[Progress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Progress:
    """What is made so far."""

    chases: list[DetectionRun] = field(default_factory=list)
    safe: list[SafeTrial] = field(default_factory=list)


class Done(NamedTuple):
    """An exam that is over."""

    results: Results
    folder: Path
    """Where they are saved."""


def run(
    exam: MutationPlan,
    *,
    out: Path = Path("runs"),
    url: str | None = None,
    on_progress: OnProgress = lambda _progress: None,
) -> Done:
    """Run an exam on a server of its own, with PostgreSQL's default durability, and save its results.

    Ctrl-C ends it cleanly: what was made so far are the results, without the chase or the trial under way.

    Args:
        exam: what to measure.
        out: the folder in which the results' own folder is made.
        url: for the server kind `external`, where it is.
        on_progress: called at each step, and several times a second while buyers buy.

    Raises:
        InvalidInputError: the kind of server and the URL do not go together, and nothing was started; or the results
            can not be saved.
        ServerError: no server could be brought up.
        TicketlabError: a trial could not be made; the text names it, and where what was made before is saved.
        KeyboardInterrupt: Ctrl-C, before anything was made.
    """
    began = datetime.now().astimezone()
    on_progress(Progress(trial=0, trials=0, doing=f"starting a server ({exam.server})"))
    made = _Progress()
    with open_environment(exam.server, url=url, crashes=exam.crashes) as ground:
        environment = lab.environment_info(ground.usual.server, seed=exam.seed, began=began)
        try:
            _chase_all(exam, ground, made, on_progress)
            _run_safe_trials(exam, ground, made, on_progress)
        except KeyboardInterrupt:
            if not (made.chases or made.safe):
                raise
        except Exception as error:
            if made.chases or made.safe:
                kept = storage.write(_results(exam, environment, made), out)
                error.add_note(f"What was measured before is kept in {kept}.")
            raise
    results = _results(exam, environment, made)
    return Done(results, storage.write(results, out))


def _results(exam: MutationPlan, environment: Mapping[str, Any], made: _Progress) -> Results:
    return Results(
        exam=exam,
        environment=environment,
        mutants=tuple(examined(mutants.registry()[name]) for name in exam.mutants),
        chases=tuple(made.chases),
        safe=tuple(made.safe),
    )


def _chase_all(exam: MutationPlan, ground: Environment, made: _Progress, on_progress: OnProgress) -> None:
    for turn in exam.turns():
        doing = f"{turn.mutant}, repeat {turn.repeat}"
        with _reporting(doing, exam, made, ground, on_progress) as step:
            made.chases.append(_chase(turn, exam, ground, step, on_progress))


def _chase(
    turn: ScheduledRun, exam: MutationPlan, ground: Environment, step: Progress, on_progress: OnProgress
) -> DetectionRun:
    mutant = mutants.registry()[turn.mutant]
    place = _place_of(mutant.trigger, ground)
    on_tick = lab.progress_callback(step, on_progress)
    return run_until_detected(
        turn,
        mutant,
        most=exam.purchases,
        seed=exam.seed,
        observe=lambda pressed: place.observe(mutant.strategy, pressed, pool_size=POOL_SIZE, on_tick=on_tick),
    )


def _place_of(setting: Trigger, ground: Environment) -> ServerSlot:
    if setting is not Trigger.CRASH:
        return ground.usual
    assert ground.crashing is not None
    return ground.crashing


def _run_safe_trials(exam: MutationPlan, ground: Environment, made: _Progress, on_progress: OnProgress) -> None:
    drawn = false_positives.random_trials(
        strategies.registry(), trials=exam.trials, seed=exam.seed, may_crash=ground.may_crash
    )
    for each in drawn:
        doing = f"{each.strategy.name}, safe, trial {each.number}"
        with _reporting(doing, exam, made, ground, on_progress) as step:
            on_tick = lab.progress_callback(step, on_progress)
            seen = ground.usual.observe(each.strategy, each.step, pool_size=each.pool_size, on_tick=on_tick)
            made.safe.append(false_positives.judged(each, seen))


@contextmanager
def _reporting(
    doing: str, exam: MutationPlan, made: _Progress, ground: Environment, on_progress: OnProgress
) -> Iterator[Progress]:
    """Around one chase or trial: tells that it begins, and where it fails what it was."""
    done = len(made.chases) + len(made.safe)
    trials = len(exam.mutants) * exam.repeats + exam.trials
    step = Progress(trial=done + 1, trials=trials, doing=doing, finished=done)
    on_progress(step)
    try:
        yield step
    except Exception as error:
        error.add_note(f"It happened in the exam to {doing}.")
        if isinstance(error, TicketlabError):
            attach_server_log(error, ground.usual.server)
        raise
