"""People rendered in three dimensions, in visible light and near-infrared."""
