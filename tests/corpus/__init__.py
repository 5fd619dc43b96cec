"""Purchase functions as users write them, right and wrong, each with the verdict that it must get: see `expected`.

The modules are named after the mistake. Each function's docstring says what is wrong with it, or why it is right.
"""
