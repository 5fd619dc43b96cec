"""Every piece of Python in the documents is run as it stands."""

import re
from pathlib import Path

import psycopg

from ticketlab import EventRepository, Outcome

ROOT = Path(__file__).parents[2]


def examples(document):
    return re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)


def run(document):
    """What the first example of a document defines."""
    code = examples(document)[0]
    names = {}
    exec(compile(code, document, "exec"), names)
    return names


def test_no_document_has_an_example_that_is_not_run():
    """The first of the README and that of the guide below, the others by a newcomer who has the wheel."""
    documents = [str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *ROOT.glob("notebooks/*.md"))]
    found = {each: len(examples(each)) for each in documents if examples(each)}
    assert found == {"README.md": 3, "CONTRIBUTING.md": 1}


def test_the_python_of_the_readme_works_as_it_stands(database, monkeypatch, capsys):
    """The ten lines sell two tickets of a new event on the database that DB_* names."""
    settings = database.settings
    for name in ("host", "port", "username", "name"):
        monkeypatch.setenv(f"DB_{name.upper()}", str(getattr(settings, name)))
    monkeypatch.setenv("DB_PASSWORD", settings.password.get_secret_value())
    run("README.md")
    assert capsys.readouterr().out.count("SoldTicket(") == 2
    with psycopg.connect(settings.url) as connection:
        assert connection.execute("SELECT name, available_tickets FROM events").fetchall() == [("Concert 2024", 998)]


def test_the_strategy_of_the_guide_sells(database, an_event):
    """Whoever begins by copying it has a strategy that works."""
    repository = EventRepository(database, run("CONTRIBUTING.md")["by_key"])
    event = an_event(repository)
    assert repository.purchase_tickets(event.id, 10, "00000000-0000-0000-0000-000000000001").success
    refused = repository.purchase_tickets(event.id, 1, "00000000-0000-0000-0000-000000000002")
    assert refused.outcome is Outcome.SOLD_OUT
    assert repository.get(event.id).available_tickets == 0
