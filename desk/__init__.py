"""What staff keep for their work: roles, notes, and what they tell all members."""
