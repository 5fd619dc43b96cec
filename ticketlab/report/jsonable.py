"""Values as JSON can hold them: it knows neither NaN nor the numbers of numpy."""

import math
from typing import Any

import numpy as np


def jsonable(value: Any) -> Any:  # noqa: ANN401 - whatever JSON can hold
    """Plain numbers, texts, lists and objects; JSON knows no NaN, so that what there is none of is null."""
    if isinstance(value, dict):
        return {str(key): jsonable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
