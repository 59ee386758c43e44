"""What users write, read and checked: handlers, hooks, and what requests are answered with.

May import `errors`, `message`. Read `handlers.py` first.
"""

from tomada.declaration.functions import Hook, check_given
from tomada.declaration.handlers import Handler, declared_handler
from tomada.declaration.values import Items, Replies, is_message, is_union, items_of, parts_of, replies_of

__all__ = [
    "Handler",
    "Hook",
    "Items",
    "Replies",
    "check_given",
    "declared_handler",
    "is_message",
    "is_union",
    "items_of",
    "parts_of",
    "replies_of",
]
