"""A story as a terminal shows it. Knows no verdict and no run."""

from rich.padding import Padding
from rich.text import Text

from ticketlab.report.stories.story import Story
from ticketlab.report.words import capital


def printed(story: Story, explained: set[str]) -> list[Padding]:
    """What happened, in numbered sentences, why that is wrong, and what it is called.

    What such an anomaly is, is told of those that are not among `explained`, which grows by it.
    """
    lines = [Text(f"{place}. {each}") for place, each in enumerate(story.happened, start=1)]
    if story.why:
        lines.append(Text(f"Why it is wrong: {story.why}", style="bold"))
    if story.meaning and story.name not in explained:
        lines.append(Text(f"{capital(story.name)}: {story.meaning} In the field: {story.field}.", style="dim"))
        explained.add(story.name)
    return [Padding(each, (0, 0, 0, 2), expand=False) for each in lines]
