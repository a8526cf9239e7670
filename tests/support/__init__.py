"""What the tests share: oracles, strategies, the contract."""
