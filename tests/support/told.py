"""What buyers were told, as the literal operations that the fixture `history` makes a history of."""


def at(invoked_ns, completed_ns, **fields):
    """What is called and answered at these ticks."""
    return {"invoked_ns": invoked_ns, "completed_ns": completed_ns} | fields


def sold(version, available, **fields):
    return {"version": version, "available": available} | fields


def refused(version, available, quantity=1, **fields):
    return {"outcome": "sold_out", "version": version, "available": available, "quantity": quantity} | fields


def lost(**fields):
    return {"outcome": "unknown"} | fields


def given_back(number, version, available, **fields):
    return {
        "purchase_id": number, "kind": "refund", "outcome": "refunded", "version": version, "available": available,
    } | fields  # fmt: skip


def told_before(number, **fields):
    return {"purchase_id": number, "cause": "repeated"} | fields


def basket(number, lines, **fields):
    """The rows of a basket, of `lines` that are event, version and stock: a ticket of each event."""
    return [
        {"purchase_id": number, "line": line, "event": event, "version": version, "available": available} | fields
        for line, (event, version, available) in enumerate(lines)
    ]
