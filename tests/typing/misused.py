"""What a type checker must refuse. Never run.

Were one of these accepted, its `type: ignore` would be unused, which is an error.
"""

from uuid import uuid4

from ticketlab import Database, EventRepository, Experiment, PurchaseResult, Settings, adopt, run
from ticketlab.tickets import PurchaseRequest
from ticketlab.tickets.strategy import Connection, strategy


def misuse(database: Database, repository: EventRepository, result: PurchaseResult) -> None:
    """Wrong types, forgotten and unknown arguments, and fields that can not be set."""
    EventRepository(database, strategy=1)  # type: ignore[arg-type]
    repository.create(name="Concert", date="tomorrow", total_tickets=10)  # type: ignore[arg-type]
    repository.create("Concert", total_tickets=10)  # type: ignore[call-arg]
    repository.purchase_tickets(uuid4(), "2", uuid4())  # type: ignore[arg-type]
    repository.purchase_basket([uuid4()], uuid4())  # type: ignore[arg-type]
    result.outcome = result.outcome  # type: ignore[misc]
    result.sold  # type: ignore[attr-defined]  # noqa: B018 - the access is what is refused
    Database("postgresql://somebody@127.0.0.1/app")  # type: ignore[arg-type]
    Settings.from_url(5432)  # type: ignore[arg-type]
    Experiment(buyers=16)  # type: ignore[arg-type]
    Experiment(buyer=(16,))  # type: ignore[call-arg]
    adopt(lambda: "sold")  # type: ignore[return-value, arg-type]
    run("pessimistic")  # type: ignore[arg-type]


@strategy(safe="yes", summary="a claim that is none")  # type: ignore[arg-type]
def unclear(connection: Connection, request: PurchaseRequest) -> PurchaseResult:
    """Its claim is no bool."""
    raise NotImplementedError


@strategy(safe=True, summary="it answers with less than a result")  # type: ignore[arg-type]
def short(connection: Connection, request: PurchaseRequest) -> bool:
    """Its answer is no PurchaseResult."""
    raise NotImplementedError
