"""Why a verdict is wrong that is not about a sale or its order: the setup, the tickets in an answer, the connection."""

from ticketlab.report.stories.reason import Reason, lines_of, marked
from ticketlab.report.stories.scene import Scene
from ticketlab.report.stories.telling import who
from ticketlab.report.words import number


def changed_setup(_scene: Scene) -> Reason:
    """Other events or seats than those that were put on sale."""
    return Reason(
        short="the events or their seats are not those that were put on sale",
        why="The seats are set up before the first purchase. A purchase sells them, and must not change how many there "
        "are: otherwise any number of tickets would fit.",
    )


def wrong_tickets(scene: Scene) -> Reason:
    """An answer with tickets that are not those of its purchase."""
    if not scene.calls:
        return Reason(short="an answer carries tickets of another purchase", why="An answer carries its own tickets.")
    return Reason(
        short=f"{who(scene.calls[0])} was given tickets that are not those of the purchase",
        why="The tickets in an answer must be the ones that the database holds for this purchase: the buyer will show "
        "them at the door.",
        marks=marked(lines_of(scene.calls[:1]), "other tickets"),
        calls=scene.calls[:1],
    )


def unclean_connection(scene: Scene) -> Reason:
    """What was left on connections or in the server, most often first."""
    left = [
        f"{number(count)} times {words}" if count > 1 else f"once {words}" for words, count in scene.left_behind.items()
    ]
    return Reason(
        short=next(iter(scene.left_behind), "something was left on a connection or in the server"),
        why=f"{'; '.join(left) or 'something was left'}. The next purchase on the same connection meets it, and a "
        "purchase that needs the same lock waits for it.",
    )
