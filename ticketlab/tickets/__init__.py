"""The system under test: events, tickets and the strategies that sell them. Knows SQL, no load and no history."""

from ticketlab.tickets.database import Database
from ticketlab.tickets.orm import Event, Ticket
from ticketlab.tickets.purchase import PurchaseRequest, PurchaseResult, SoldTicket
from ticketlab.tickets.repository import EventRepository
from ticketlab.tickets.strategy import RetryPolicy, Strategy

__all__ = [
    "Database",
    "Event",
    "EventRepository",
    "PurchaseRequest",
    "PurchaseResult",
    "RetryPolicy",
    "SoldTicket",
    "Strategy",
    "Ticket",
]
