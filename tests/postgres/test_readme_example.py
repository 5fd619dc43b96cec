import re
from pathlib import Path

import psycopg

README = Path(__file__).parents[2] / "README.md"


def test_the_python_of_the_readme_works_as_it_stands(database, monkeypatch, capsys):
    """The ten lines sell two tickets of a new event on the database that DB_* names."""
    settings = database.settings
    for name in ("host", "port", "username", "name"):
        monkeypatch.setenv(f"DB_{name.upper()}", str(getattr(settings, name)))
    monkeypatch.setenv("DB_PASSWORD", settings.password.get_secret_value())
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.count("SoldTicket(") == 2
    with psycopg.connect(settings.url) as connection:
        assert connection.execute("SELECT name, available_tickets FROM events").fetchall() == [("Concert 2024", 998)]
