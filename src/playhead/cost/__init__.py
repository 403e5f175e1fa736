"""What model calls cost: the price on the day of the call, from a price list that is bundled and never fetched."""
