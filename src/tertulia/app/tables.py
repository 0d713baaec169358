"""Every table of the product, by importing the rooms that declare them."""

from tertulia.accounting import rows as accounting
from tertulia.conversations import rows as conversations
from tertulia.generation import rows as generation
from tertulia.identity import rows as identity
from tertulia.storage.statement import metadata

__all__ = ["accounting", "conversations", "generation", "identity", "metadata"]
