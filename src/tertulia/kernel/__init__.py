"""What everything stands on: errors, ids, clock, money, secrets. Knows nothing of the product."""
