"""What the operator asks beyond the published prices: dated, and never changed afterwards."""
